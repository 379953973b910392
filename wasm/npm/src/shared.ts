/**
 * One broker for all tabs: in a SharedWorker, or where there is none in the tab that holds a lock. Knows nothing of
 * what goes over the ports.
 */

import { bridge } from "./bridge.js";
import { Broker, dial } from "./broker.js";
import { LinkedClient } from "./client.js";
import { portLink, settingsOf } from "./connect.js";
import { differing } from "./differing.js";
import { MistError } from "./error.js";
import { type Attempt, GOODBYE, type Link, checkSource } from "./link.js";
import type {
  Bridge,
  BridgeOptions,
  BrokerOptions,
  Client,
  LocalOptions,
  SharedBroker,
  SharedOptions,
} from "./types.js";

let makeWorker: ((name: string) => SharedWorker) | undefined;

/** Says how the worker is made; each entry knows where its file is. */
export function workerWith(make: (name: string) => SharedWorker): void {
  makeWorker ??= make;
}

/** What a tab says to the worker first, and then for each client. */
export type Hello = { options: BrokerOptions; lock: string } | { port: MessagePort };

/** What the worker answers: the options that it has otherwise, or why there is no broker. */
export type Welcome = { differs: string[] } | { error: string };

export async function shared(name: string, options: SharedOptions = {}): Promise<SharedBroker> {
  if (typeof name !== "string" || name === "") {
    throw new MistError("invalid-argument", "a shared broker has a name, a string that is not empty");
  }
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) {
    throw new MistError("unsupported", "a broker for all tabs needs Web Locks: serve the page by https or from localhost");
  }
  const { worker = makeWorker, ...rest } = options;
  if (worker && typeof SharedWorker === "function") {
    const place = await inWorker(name, () => worker(`mist:${name}`) as SharedWorker, rest, locks);
    if (place) return new Shared(place, rest.token);
  }
  if (typeof BroadcastChannel !== "function") {
    throw new MistError("unsupported", "there is neither SharedWorker nor BroadcastChannel here: use Broker.create()");
  }
  return new Shared(await inTabs(name, rest, locks), rest.token);
}

/** What a tab is told that wants another broker than there is. */
function unlike(name: string, differs: readonly string[]): MistError {
  return new MistError(
    "invalid-argument",
    `the shared broker "${name}" runs with other options (${differs.join(", ")}): give the same in every tab, or leave them out`,
  );
}

/** Where the broker is, as a tab reaches it. */
interface Place {
  readonly place: SharedBroker["place"];
  dial(attempt: Attempt): () => void;
  watch?(probe: () => void): () => void;
  close(): void;
}

class Shared implements SharedBroker {
  #place: Place;
  /** The broker's own, for the bridges. */
  #token: string | undefined;
  #clients = new Set<Client>();
  #closing: Promise<void> | undefined;

  constructor(place: Place, token: string | undefined) {
    this.#place = place;
    this.#token = token || undefined;
  }

  get place(): SharedBroker["place"] {
    return this.#place.place;
  }

  client({ token, signal }: LocalOptions = {}): Client {
    if (this.#closing) {
      throw new MistError("closed", "this tab has left the shared broker: call Broker.shared() again");
    }
    const place = this.#place;
    const link: Link = {
      token: checkSource(token),
      dial: (attempt) => place.dial(attempt),
      ...(place.watch && { watch: (probe) => place.watch!(probe) }),
    };
    const settings = settingsOf({ retry: { minMs: 50, maxMs: 2_000 } });
    const client = new LinkedClient(link, settings, signal, (client) => this.#clients.delete(client));
    // What is asked for until then is taken along.
    queueMicrotask(() => client.start());
    if (client.state !== "closed") this.#clients.add(client);
    return client;
  }

  bridge(upstream: Client, options: BridgeOptions): Bridge {
    return bridge(this.client(this.#token === undefined ? {} : { token: this.#token }), upstream, options);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#leave());
  }

  async #leave(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    this.#place.close();
  }

  [Symbol.dispose](): void {
    void this.close();
  }
}

/** Holds a lock as long as this tab lives, so that others learn of its end. */
async function live(locks: LockManager): Promise<{ lock: string; end: () => void }> {
  const lock = `mist-tab:${crypto.randomUUID()}`;
  let end = (): void => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  await new Promise<void>((held, reject) => {
    const hold = (): Promise<void> => {
      held();
      return over;
    };
    locks.request(lock, hold).catch(reject);
  });
  return { lock, end };
}

/** Finds the broker in a worker; nothing when there cannot be one. */
async function inWorker(
  name: string,
  make: () => SharedWorker,
  options: BrokerOptions,
  locks: LockManager,
): Promise<Place | undefined> {
  let worker: SharedWorker;
  try {
    worker = make();
  } catch {
    return undefined;
  }
  const { lock, end } = await live(locks);
  try {
    const welcome = await new Promise<Welcome | undefined>((resolve) => {
      worker.onerror = () => resolve(undefined);
      worker.port.onmessage = ({ data }: MessageEvent<Welcome>) => resolve(data);
      worker.port.postMessage({ options, lock } satisfies Hello);
    });
    if (!welcome) {
      end();
      return undefined;
    }
    if ("error" in welcome) throw new MistError("invalid-argument", welcome.error);
    if (welcome.differs.length > 0) throw unlike(name, welcome.differs);
  } catch (error) {
    end();
    throw error;
  }
  return {
    place: "worker",
    dial(attempt) {
      const { port1, port2 } = new MessageChannel();
      worker.port.postMessage({ port: port2 } satisfies Hello, [port2]);
      return portLink(port1).dial(attempt);
    },
    close: end,
  };
}

/** What goes over the channel of the tabs: from a tab or its client to the tab that has the broker, or back. */
type Cast =
  | { type: "leader" }
  | { type: "how" }
  | { type: "made"; options: BrokerOptions }
  | { type: "open"; client: string; lock: string }
  | { type: "opened"; client: string }
  | { type: "ask"; client: string; text: string }
  | { type: "tell"; client: string; text: string | typeof GOODBYE }
  | { type: "bye"; client: string };

/** Finds the broker in one of the tabs: in the one that gets the lock, and the next one after it. */
async function inTabs(name: string, options: BrokerOptions, locks: LockManager): Promise<Place> {
  const { lock, end } = await live(locks);
  const channel = new BroadcastChannel(`mist:${name}`);
  const cast = (message: Cast): void => channel.postMessage(message);
  const attempts = new Map<string, Attempt>();
  const ports = new Map<string, MessagePort>();
  /** By the lock that another tab holds as long as it lives. */
  const tabs = new Map<string, Set<MessagePort>>();
  const probes = new Set<() => void>();
  const over = new AbortController();
  const ended = new Promise((resolve) => over.signal.addEventListener("abort", resolve));
  let broker: Broker | undefined;
  /** How the broker was made, once this tab knows: whoever makes it anew makes it so. */
  let running: BrokerOptions | undefined;
  let learned = (): void => {};

  /** Closes the ports of another tab when that is gone. */
  const watchTab = (lock: string): Set<MessagePort> => {
    const ofTab = new Set<MessagePort>();
    tabs.set(lock, ofTab);
    const close = (): void => {
      tabs.delete(lock);
      for (const port of ofTab) port.close();
    };
    locks.request(lock, { signal: over.signal }, close).catch(() => {});
    return ofTab;
  };

  const lose = (client: string, reason: string): void => {
    const lost = attempts.get(client);
    attempts.delete(client);
    lost?.lost(reason);
  };
  const loseAll = (): void => {
    for (const client of [...attempts.keys()]) lose(client, "the tab that had the broker was closed");
  };

  /** What looks like a port to the broker, and leads over the channel to a client in another tab. */
  const openPort = (client: string, lock: string): void => {
    const port = {
      onmessage: null as MessagePort["onmessage"],
      postMessage: (text: string | typeof GOODBYE) => cast({ type: "tell", client, text }),
    } as MessagePort;
    const detach = broker!.attach(port);
    const ofTab = tabs.get(lock) ?? watchTab(lock);
    ofTab.add(port);
    ports.set(client, port);
    port.close = () => {
      ports.delete(client);
      ofTab.delete(port);
      detach();
    };
    cast({ type: "opened", client });
  };

  channel.onmessage = ({ data }: MessageEvent<Cast>) => {
    switch (data.type) {
      case "leader":
        // The broker is new: connections to the old one begin again.
        loseAll();
        return probes.forEach((probe) => probe());
      case "how":
        return running && cast({ type: "made", options: running });
      case "made":
        running = data.options;
        return learned();
      case "open":
        return broker && openPort(data.client, data.lock);
      case "opened":
        return attempts.get(data.client)?.open({ send: (text) => cast({ type: "ask", client: data.client, text }) });
      case "ask":
        return void ports.get(data.client)?.onmessage?.call(ports.get(data.client)!, { data: data.text } as MessageEvent);
      case "tell":
        if (data.text !== GOODBYE) return attempts.get(data.client)?.receive(data.text);
        return lose(data.client, "the broker has closed the connection");
      case "bye":
        return ports.get(data.client)?.close();
    }
  };

  const close = (): void => {
    over.abort();
    // It tells the other tabs over the channel, and no other tab gets the lock before it is gone.
    void broker?.close();
    end();
    channel.close();
  };

  /** Checks that a broker which is made so is the one that is wanted. */
  const check = (made: BrokerOptions): void => {
    const differs = differing(made, options);
    if (differs.length > 0) throw unlike(name, differs);
  };

  /** Makes the broker here, as it was where there was one, says so, and keeps it as long as the tab lives. */
  const lead = async (isReady: () => void): Promise<void> => {
    const wanted = running ?? options;
    check(wanted);
    const made = await Broker.create(wanted);
    if (over.signal.aborted) return made.close();
    broker = made;
    running = wanted;
    isReady();
    cast({ type: "leader" });
    cast({ type: "made", options: running });
    loseAll();
    probes.forEach((probe) => probe());
    await ended;
  };

  /** Learns how the broker was made that another tab has: that one says it when asked, and when it has made it. */
  const follow = async (isReady: () => void): Promise<void> => {
    await new Promise<void>((resolve) => {
      learned = resolve;
      cast({ type: "how" });
    });
    check(running!);
    isReady();
  };
  // A tab that does not get the lock at once waits for it.
  const found = new Promise<void>((resolve, reject) => {
    const begin = (held: Lock | null): Promise<void> | void => {
      if (held) return lead(resolve);
      locks.request(`mist:${name}`, { signal: over.signal }, () => lead(resolve)).catch(reject);
      follow(resolve).catch(reject);
    };
    locks.request(`mist:${name}`, { ifAvailable: true }, begin).catch(reject);
  });
  try {
    await found;
  } catch (error) {
    close();
    throw error;
  }

  return {
    get place() {
      return broker ? "here" : "other-tab";
    },
    dial(attempt) {
      if (broker) return dial(broker, attempt);
      const client = crypto.randomUUID();
      attempts.set(client, attempt);
      cast({ type: "open", client, lock });
      return () => {
        attempts.delete(client);
        cast({ type: "bye", client });
      };
    },
    watch(probe) {
      probes.add(probe);
      return () => probes.delete(probe);
    },
    close,
  };
}
