/**
 * What every entry with brokers exports of them, with the types that are published. Those of the modules that do the work
 * stay inside: an application need not know them, nor have what they are declared with.
 */

import * as local from "./broker.js";
import { type Source, loadFrom } from "./core.js";
import { shared, workerWith } from "./shared.js";
import type {
  Bridge,
  BridgeOptions,
  BrokerOptions,
  BrokerStats,
  Client,
  CommandHandler,
  Disposing,
  LocalOptions,
  PortLike,
  SharedBroker,
  SharedOptions,
  Tag,
} from "./types.js";

/** A broker in this page, in this worker, or in this program. */
export interface Broker extends Disposing {
  /** Whether it was closed. */
  readonly closed: boolean;
  /** Makes a client of this broker. */
  client(options?: LocalOptions): Client;
  /**
   * Serves the wire protocol over a port, one JSON object a message: to a worker, a frame, another tab. `null` is the
   * last message of either side.
   *
   * The function returned ends it. Call it when you terminate a worker or remove a frame: they go without a word.
   */
  attach(port: PortLike): () => void;
  /** Joins this page with another broker. */
  bridge(upstream: Client, options: BridgeOptions): Bridge;
  /** Adds a command that clients run by name. */
  command(name: string, handler: CommandHandler): void;
  /** A handle for a tag, good for all clients of this broker. */
  tag(name: string): Tag;
  /** Figures of the broker. */
  stats(): BrokerStats;
  /** Ends the broker, its clients and what is attached. */
  close(): Promise<void>;
}

/** Where brokers come from. */
export interface BrokerConstructor extends Function {
  readonly prototype: Broker;
  /**
   * Creates a broker.
   * @throws {@link MistError} `invalid-argument`, or `unsupported` where the options need WebAssembly, and it cannot be had.
   */
  create(options?: BrokerOptions): Promise<Broker>;
  /**
   * Returns the one broker of all tabs of this origin that ask for the same name. It lives in a SharedWorker; where
   * there is none, in one of the tabs, and when that tab is closed, in another.
   * @throws {@link MistError} `unsupported` where there is neither SharedWorker nor BroadcastChannel with Web Locks.
   */
  shared(name: string, options?: SharedOptions): Promise<SharedBroker>;
}

/** The brokers of an entry, which knows where their core is, and how the worker is made that all tabs share. @internal */
export function brokers(source?: () => Source, worker?: (name: string) => SharedWorker): BrokerConstructor {
  if (source) loadFrom(source);
  if (worker) workerWith(worker);
  return Object.assign(local.Broker, { shared });
}
