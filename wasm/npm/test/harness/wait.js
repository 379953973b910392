/** Owns waiting for something that will be true, in Node and in pages alike. It does not know what is waited for. */

/** How long anything may take on a busy machine; nothing waits for it to pass. */
const PATIENCE_MS = 20_000;

/**
 * Waits until something holds, and returns it.
 * @template T
 * @param {() => T | Promise<T>} look
 * @param {string | (() => string)} [what]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(look, what = "it does not come true") {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return /** @type {NonNullable<T>} */ (found);
    if (performance.now() > end) throw new Error(typeof what === "string" ? what : what());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Lets everything run that is due: handlers, ports, promises. */
export async function turn() {
  await new Promise((resolve) => {
    // A timer would wait four milliseconds in a page.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(0);
  });
}

/**
 * The next event of a client.
 * @template {keyof import("mist-pubsub").ClientEvents} K
 * @param {import("mist-pubsub").Client} client
 * @param {K} type
 * @param {(event: import("mist-pubsub").ClientEvents[K]) => unknown} [isMeant]
 * @returns {Promise<import("mist-pubsub").ClientEvents[K]>}
 */
export function next(client, type, isMeant = () => true) {
  return new Promise((resolve) => {
    const off = client.on(type, (event) => {
      if (!isMeant(event)) return;
      off();
      resolve(event);
    });
  });
}
