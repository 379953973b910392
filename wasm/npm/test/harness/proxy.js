/** Owns a network between clients and a server that can be made to fail. It does not know what goes over it. */

import { connect, createServer } from "node:net";

/**
 * @typedef {object} Proxy
 * @property {string} url Where the server is reached through it.
 * @property {() => Promise<number>} accepted How many connections there were.
 * @property {() => Promise<void>} cut Resets all connections.
 * @property {() => Promise<void>} hold Lets nothing pass any more, without a word.
 * @property {() => Promise<void>} release Lets everything pass again.
 * @property {() => Promise<void>} end
 */

/**
 * Starts a proxy for a server.
 * @param {string} target such as `ws://127.0.0.1:8888`
 * @returns {Promise<Proxy>}
 */
export async function startProxy(target) {
  const { hostname, port } = new URL(target);
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  let accepted = 0;
  let isHeld = false;
  const server = createServer((near) => {
    accepted += 1;
    const far = connect(Number(port), hostname);
    for (const [from, to] of /** @type {const} */ ([[near, far], [far, near]])) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (bytes) => void to.write(bytes));
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      if (isHeld) from.pause();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const cut = async () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: `ws://127.0.0.1:${address.port}`,
    accepted: async () => accepted,
    cut,
    hold: async () => {
      isHeld = true;
      for (const socket of sockets) socket.pause();
    },
    release: async () => {
      isHeld = false;
      for (const socket of sockets) socket.resume();
    },
    end: async () => {
      await cut();
      server.close();
    },
  };
}
