/**
 * Owns a broker in this page: its sessions, ports and commands. What is decided is decided by the core, and what is
 * fast is in the fast lane.
 */

import { bridge } from "./bridge.js";
import { LinkedClient } from "./client.js";
import { type Core, core } from "./core.js";
import { MistError, textOf } from "./error.js";
import { type Carried, FastLane, SessionLane } from "./lane.js";
import { nameOf, textOfData } from "./message.js";
import { type Attempt, GOODBYE, type Link, type Socket, checkSource, leave } from "./link.js";
import type { Settings } from "./output.js";
import { defer, enter } from "./turn.js";
import type {
  Bridge,
  BridgeOptions,
  BrokerOptions,
  BrokerStats,
  Client,
  CommandCall,
  CommandHandler,
  LocalOptions,
  Reply,
  Tag,
} from "./types.js";

type CoreBroker = InstanceType<Core["Broker"]>;

/** What the core's broker needs of a port. */
interface Port {
  postMessage(message: string): void;
}

/** A message on its way from a client of this page, and its value, which does not go over the wire. */
interface Sent {
  readonly text: string;
  readonly carried: Carried | undefined;
}

/** How many characters a session may send ahead of a command that it waits for. */
const AHEAD = 8 << 20;

/** The longest that a timer waits, in milliseconds. */
const MOST_DELAY = 2 ** 31 - 1;

/** Neither a sign of life nor another attempt: the broker is right here. */
const SETTINGS: Settings = {
  timeout: 10_000,
  heartbeat: -1,
  retryLeast: -1,
  retryMost: -1,
  offlineMessages: -1,
  offlineBytes: 0,
  offlineAge: 0,
};

/** Connects a client to a broker in the same page. For this package only. */
export let dial: (broker: Broker, attempt: Attempt) => () => void;

/** A broker in this page, in this worker, or in this program. */
export class Broker {
  /** Its own, for the bridges. */
  #token: string | undefined;
  #core: CoreBroker;
  #fast: FastLane;
  /** By session. */
  #attempts = new Map<number, Attempt>();
  #ports = new Map<number, () => void>();
  #owners = new Map<number, object>();
  #commands = new Map<string, CommandHandler>();
  /** By session that waits for a command: what it has sent meanwhile. */
  #busy = new Map<number, Sent[]>();
  #clients = new Set<LinkedClient>();
  /** For the next end of a token that a session goes by. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /**
   * Creates a broker.
   * @throws MistError `invalid-argument`, or `unsupported` where WebAssembly cannot be had.
   */
  static async create(options: BrokerOptions = {}): Promise<Broker> {
    let module: Core;
    try {
      module = await core();
    } catch (error) {
      throw new MistError("unsupported", `cannot load mist's core: ${textOf(error)}`, { cause: error });
    }
    return new Broker(module, options);
  }

  private constructor(module: Core, options: BrokerOptions) {
    const { token, access = "open", limits = {}, seed } = options;
    if (access !== "open" && access !== "scoped") {
      throw new MistError("invalid-argument", `access is "open" or "scoped", not "${String(access)}"`);
    }
    if (access === "scoped" && !token) {
      throw new MistError("invalid-argument", "scoped access needs a token: nobody could register any");
    }
    if (token !== undefined && typeof token !== "string") {
      throw new MistError("invalid-argument", `a token is a string, not ${typeof token}`);
    }
    const values = Object.values(limits);
    const wrong = Object.entries(limits).find(([, value]) => !Number.isSafeInteger(value) || value < 0);
    if (wrong) {
      throw new MistError("invalid-argument", `the limit ${wrong[0]} is a whole number, not ${String(wrong[1])}`);
    }
    this.#token = token || undefined;
    try {
      this.#core = new module.Broker(
        this.#host(),
        seed ?? crypto.getRandomValues(new BigUint64Array(1))[0]!,
        this.#token,
        access === "scoped",
        Object.keys(limits),
        Float64Array.from(values),
      );
    } catch (error) {
      throw new MistError("invalid-argument", textOf(error), { cause: error });
    }
    this.#fast = new FastLane(this.#core, module.linear_memory() as WebAssembly.Memory);
  }

  /** What the core calls. It is at work meanwhile: nothing here may call it. */
  #host(): object {
    return {
      tag: (number: number, name: string | undefined) => this.#fast.number(number, name),
      deliver: (session: number, found: number, count: number, text: string) => {
        this.#fast.deliver(this.#owners.get(session), found, count, text);
      },
      command: (session: number, name: string, tags: string[], data: string) => {
        const owner = this.#owners.get(session);
        this.#busy.set(session, []);
        queueMicrotask(() => void this.#run(session, owner, { command: name, tags, data }));
      },
      closed: (session: number) => defer(() => this.#lose(session, "the broker closed the connection")),
      expiry: (at: number) => this.#expireAt(at),
    };
  }

  /** Has the core end what ends at this time, in seconds since 1970; at no time, if it is negative. */
  #expireAt(at: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at < 0) return;
    const left = Math.min(Math.max(at * 1000 - Date.now(), 0), MOST_DELAY);
    this.#timer = setTimeout(() => enter(() => this.#core.expire()), left);
    // In Node it keeps no program running.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  // --- clients and ports --------------------------------------------------------------------------------------------

  /** Makes a client of this broker. */
  client(options: LocalOptions = {}): Client {
    this.#checkOpen();
    const link: Link = { token: checkSource(options.token), dial: (attempt) => this.#dial(attempt) };
    const client = new LinkedClient(link, SETTINGS, options.signal, (client) => this.#clients.delete(client)).start();
    if (client.state !== "closed") this.#clients.add(client);
    return client;
  }

  static {
    dial = (broker, attempt) => broker.#dial(attempt);
  }

  #dial(attempt: Attempt): () => void {
    if (this.#isClosed) {
      attempt.lost("the broker is closed");
      return () => {};
    }
    const toClient: Port = { postMessage: (text) => defer(() => attempt.receive(text)) };
    const session = enter(() => this.#core.connect(toClient as MessagePort, true));
    const owner = {};
    this.#attempts.set(session, attempt);
    this.#owners.set(session, owner);
    const toBroker: Socket = {
      send: (text) => {
        const { carried } = this.#fast;
        defer(() => {
          if (this.#owners.get(session) === owner) this.#receive(session, { text, carried });
        });
      },
    };
    attempt.open(toBroker, new SessionLane(this.#fast, session, owner));
    return () => {
      if (this.#owners.get(session) === owner) this.#disconnect(session);
    };
  }

  /** Takes a message of a client of this page, after the command that it waits for. */
  #receive(session: number, sent: Sent): void {
    const waiting = this.#busy.get(session);
    if (waiting) {
      waiting.push(sent);
      const ahead = waiting.reduce((sum, { text }) => sum + text.length, 0);
      if (ahead > AHEAD) this.#cut(session, `more than ${AHEAD} characters sent ahead of a command's answer`);
    } else this.#fast.carrying(sent.carried, () => this.#core.receive(session, sent.text));
  }

  /**
   * Serves the wire protocol over a port, one JSON object a message: to a worker, a frame, another tab. `null` is the
   * last message of either side.
   *
   * The function returned ends it. Call it when you terminate a worker or remove a frame: they go without a word.
   */
  attach(port: MessagePort): () => void {
    this.#checkOpen();
    if (typeof port?.postMessage !== "function") {
      throw new MistError("invalid-argument", "attach takes a MessagePort, such as one of a MessageChannel");
    }
    const session = enter(() => this.#core.connect(port, false));
    const hangUp = (): void => leave(port, detach);
    const detach = (): void => {
      if (this.#ports.get(session) !== hangUp) return;
      this.#disconnect(session);
      hangUp();
    };
    this.#ports.set(session, hangUp);
    this.#fast.hasPorts = true;
    this.#owners.set(session, hangUp);
    port.onmessage = ({ data }: MessageEvent) => {
      if (this.#ports.get(session) !== hangUp) return;
      if (data === GOODBYE) return detach();
      enter(() => this.#receive(session, { text: textOfPost(data), carried: undefined }));
    };
    port.addEventListener?.("close", detach);
    return detach;
  }

  #disconnect(session: number): void {
    this.#forget(session);
    if (!this.#isClosed) enter(() => this.#core.disconnect(session));
  }

  /** Ends a session of the broker's own accord. */
  #cut(session: number, reason: string): void {
    enter(() => this.#core.disconnect(session));
    this.#lose(session, reason);
  }

  #forget(session: number): void {
    this.#attempts.delete(session);
    this.#ports.delete(session);
    this.#fast.hasPorts = this.#ports.size > 0;
    this.#owners.delete(session);
    this.#busy.delete(session);
  }

  /** Notes that the core has let go of a session. */
  #lose(session: number, reason: string): void {
    const attempt = this.#attempts.get(session);
    const hangUp = this.#ports.get(session);
    this.#forget(session);
    attempt?.lost(reason);
    hangUp?.();
  }

  /** Joins this page with another broker. */
  bridge(upstream: Client, options: BridgeOptions): Bridge {
    return bridge(this.client(this.#token === undefined ? {} : { token: this.#token }), upstream, options);
  }

  // --- commands -----------------------------------------------------------------------------------------------------

  /** Adds a command that clients run by name. */
  command(name: string, handler: CommandHandler): void {
    this.#checkOpen();
    if (typeof name !== "string" || name === "" || typeof handler !== "function") {
      throw new MistError("invalid-argument", "a command has a name and a function");
    }
    if (!enter(() => this.#core.add_command(name))) {
      throw new MistError("invalid-argument", `"${name}" is a command of the protocol: choose another name`);
    }
    this.#commands.set(name, handler);
  }

  async #run(session: number, owner: object | undefined, call: CommandCall): Promise<void> {
    let answered: { tags: string[]; data: string } | undefined;
    let failed: string | undefined;
    try {
      const reply = await this.#commands.get(call.command)?.(call);
      if (typeof reply === "object" && reply !== null && ("tags" in reply || "data" in reply)) {
        const { tags = [], data } = reply as Partial<Reply>;
        answered = { tags: [...tags].map(nameOf), data: textOfData(data) };
      } else if (reply !== undefined) {
        answered = { tags: [], data: textOfData(reply) };
      }
    } catch (error) {
      failed = textOf(error) || "the command failed";
    }
    // Another session may have the number by now.
    if (this.#isClosed || !owner || this.#owners.get(session) !== owner) return;
    const waiting = this.#busy.get(session) ?? [];
    this.#busy.delete(session);
    enter(() => {
      this.#core.answer(session, answered?.tags ?? [], answered?.data, failed);
      for (const sent of waiting) this.#receive(session, sent);
    });
  }

  // --- figures, and the end -----------------------------------------------------------------------------------------

  /** A handle for a tag, good for all clients of this broker. */
  tag(name: string): Tag {
    return this.#fast.tag(name);
  }

  /** Figures of the broker. */
  stats(): BrokerStats {
    const core = this.#isClosed ? undefined : this.#core;
    return {
      sessions: core?.sessions() ?? 0,
      sessionsTotal: core?.sessions_total() ?? 0,
      subscribers: core?.subscribers() ?? 0,
      subscriptions: core?.subscriptions() ?? 0,
      ...this.#fast.figures(),
    };
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** Ends the broker, its clients and what is attached. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    for (const client of [...this.#clients]) void client.close();
    for (const session of [...this.#owners.keys()]) this.#lose(session, "the broker is closed");
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#core.free();
    this.#fast.clear();
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new MistError("closed", "the broker is closed: create another");
  }
}

/** What was posted as a message of the protocol. Anybody may post anything. */
function textOfPost(data: unknown): string {
  try {
    return typeof data === "string" ? data : (JSON.stringify(data) ?? "");
  } catch {
    return "";
  }
}
