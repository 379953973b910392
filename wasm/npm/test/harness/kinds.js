/** Owns the places where a broker can be, as an application sees them. It does not know what is done there. */

import { Broker, connect } from "mist-pubsub";

/** @typedef {"page" | "server" | "port"} Kind */

/** In this page, in a server, and behind a port. */
export const kinds = /** @type {const} */ (["page", "server", "port"]);

/**
 * A broker somewhere, and how to be its client.
 * @typedef {object} Place
 * @property {Kind} kind
 * @property {(options?: import("mist-pubsub").ConnectOptions) => import("mist-pubsub").Client} client
 * @property {() => Promise<void>} close
 */

/**
 * Makes a broker.
 * @param {Kind} kind
 * @param {import("./suite.js").Tools} tools
 * @param {{ token?: string, access?: "open" | "scoped", limits?: Record<string, number> }} [options]
 * @returns {Promise<Place>}
 */
export async function open(kind, { startServer, webSocket }, options = {}) {
  if (kind === "server") {
    const { token, access = "open", limits = {} } = options;
    const flags = Object.entries(limits).flatMap(([name, value]) => ["--limit", `${name}=${value}`]);
    if (token !== undefined) flags.push("--token", token, "--authenticator", "memory://", "--access", access);
    const server = await startServer(flags);
    const given = webSocket ? { webSocket } : {};
    /** @type {import("mist-pubsub").Client[]} */
    const clients = [];
    return {
      kind,
      client: (options) => {
        const client = connect(server.ws, { ...given, retry: { minMs: 10, maxMs: 100 }, ...options });
        clients.push(client);
        return client;
      },
      close: async () => void (await Promise.all(clients.map((client) => client.close()))),
    };
  }
  const broker = await Broker.create(options);
  return {
    kind,
    client: (options = {}) => {
      if (kind === "page") return broker.client(/** @type {import("mist-pubsub").LocalOptions} */ (options));
      const { port1, port2 } = new MessageChannel();
      broker.attach(port2);
      return connect(port1, options);
    },
    close: () => broker.close(),
  };
}
