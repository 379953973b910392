/**
 * Owns a broker in this page: its sessions, ports and commands. What is decided is decided by the core, and what is
 * fast is in the fast lane.
 */

import { bridge } from "./bridge.js";
import { LinkedClient } from "./client.js";
import { type Core, type Effect, core } from "./core.js";
import { MistError, textOf } from "./error.js";
import { FastLane, SessionLane } from "./lane.js";
import { nameOf, textOfData } from "./message.js";
import { type Attempt, GOODBYE, type Link, type Socket, checkSource, leave } from "./link.js";
import type { Settings } from "./output.js";
import { Plain } from "./plain.js";
import { type Peer, type Sent, Session } from "./session.js";
import { defer, enter } from "./turn.js";
import type {
  Bridge,
  BridgeOptions,
  BrokerOptions,
  BrokerStats,
  Client,
  CommandHandler,
  LocalOptions,
  Reply,
  Tag,
  TagLike,
} from "./types.js";

/** The commands of the protocol, which no other may be called. */
const COMMANDS =
  "auth ping subscribe unsubscribe publish list listall who nodes register unregister set unset tags tokens end".split(" ");

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
  #options: BrokerOptions;
  /** Its own, for the bridges. */
  #token: string | undefined;
  /** What decides, once it is needed: nothing else knows of tokens, of what goes over ports, and of what is wrong. */
  #core: Core | undefined;
  #loading: Promise<void> | undefined;
  #lane = new FastLane();
  #plain = new Plain(this.#lane);
  #sessions = new Set<Session>();
  #sessionsTotal = 0;
  /** By their number at the core. */
  #numbered = new Map<number, Session>();
  #commands = new Map<string, CommandHandler>();
  #clients = new Set<LinkedClient>();
  /** For the next end of a token that a session goes by. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /**
   * Creates a broker.
   * @throws MistError `invalid-argument`, or `unsupported` where WebAssembly is needed and cannot be had.
   */
  static async create(options: BrokerOptions = {}): Promise<Broker> {
    const broker = new Broker(options);
    const { limits = {}, seed } = options;
    if (broker.#token !== undefined || Object.keys(limits).length > 0 || seed !== undefined) await broker.#load();
    return broker;
  }

  private constructor(options: BrokerOptions) {
    const { token, access = "open", limits = {} } = options;
    if (access !== "open" && access !== "scoped") {
      throw new MistError("invalid-argument", `access is "open" or "scoped", not "${String(access)}"`);
    }
    if (access === "scoped" && !token) {
      throw new MistError("invalid-argument", "scoped access needs a token: nobody could register any");
    }
    if (token !== undefined && typeof token !== "string") {
      throw new MistError("invalid-argument", `a token is a string, not ${typeof token}`);
    }
    const wrong = Object.entries(limits).find(([, value]) => !Number.isSafeInteger(value) || value < 0);
    if (wrong) {
      throw new MistError("invalid-argument", `the limit ${wrong[0]} is a whole number, not ${String(wrong[1])}`);
    }
    this.#options = { access, limits };
    if (options.seed !== undefined) this.#options.seed = options.seed;
    this.#token = token || undefined;
  }

  // --- the core -----------------------------------------------------------------------------------------------------

  /** Loads the core, and hands over to it. */
  #load(): Promise<void> {
    this.#loading ??= core().then(
      (core) => this.#isClosed || this.#handOver(core),
      (error: unknown) => {
        this.#loading = undefined;
        throw new MistError("unsupported", `cannot load mist's core: ${textOf(error)}`, { cause: error });
      },
    ) as Promise<void>;
    return this.#loading;
  }

  /** Has the core decide from now on. All at once, so that no message meets only a part of it. */
  #handOver(core: Core): void {
    const { access, limits = {}, seed } = this.#options;
    for (const [name, value] of Object.entries(limits)) {
      const [wrong] = core.limit(name, value);
      if (wrong) throw new MistError("invalid-argument", wrong.texts[0]!);
    }
    core.start(seed ?? crypto.getRandomValues(new BigUint64Array(1))[0]!, this.#token, access === "scoped");
    this.#lane.limit(limits);
    for (const name of this.#commands.keys()) core.addCommand(name);
    // It counts those that have gone as well.
    for (let gone = this.#sessionsTotal - this.#sessions.size; gone > 0; gone--) core.disconnect(core.connect(true));
    this.#core = core;
    enter(() => {
      for (const session of this.#sessions) {
        this.#connect(session);
        const said = [...session.held].map(({ key }) => `{"command":"subscribe","tags":${key}}`);
        // After the first message there may be no token.
        if (session.hasSpoken && said.length === 0) said.push('{"command":"unsubscribe","tags":["none"]}');
        this.#plain.clear(session);
        for (const text of said) this.#do(core.receive(session.number, text));
      }
      this.#setReach();
      for (const session of [...this.#sessions]) this.#go(session);
    });
  }

  #connect(session: Session): void {
    session.number = this.#core!.connect(session.peer.isPage);
    this.#numbered.set(session.number, session);
  }

  /** Does what the core wants done. It is not called meanwhile: what leads to that comes after all of it. */
  #do(effects: readonly Effect[]): void {
    enter(() => {
      for (const { kind, session: number, numbers, texts } of effects) {
        const session = this.#numbered.get(number);
        const [text = ""] = texts;
        switch (kind) {
          case "send":
            session?.peer.post(text);
            break;
          case "deliver": {
            const [isForPage, ...others] = numbers;
            for (const other of others) this.#numbered.get(other)?.peer.post(text);
            if (!isForPage) break;
            const { tags, data } = JSON.parse(text) as { tags: string[]; data?: string };
            const { carried } = this.#lane;
            this.#lane.deliver(session, tags, carried ? carried.data : data);
            break;
          }
          case "command":
            if (!session) break;
            session.waiting = [];
            queueMicrotask(() => void this.#run(session, texts));
            break;
          case "closed":
            if (!session) break;
            // Another may get the number before this one hears of it.
            this.#numbered.delete(number);
            session.number = -1;
            defer(() => this.#lose(session, "the broker closed the connection"));
            break;
          case "expiry":
            this.#expireAt(numbers[0]);
        }
      }
    });
  }

  /** Has the core end what ends at this time, in seconds since 1970. */
  #expireAt(at: number | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === undefined) return;
    const left = Math.min(Math.max(at * 1000 - Date.now(), 0), MOST_DELAY);
    this.#timer = setTimeout(() => this.#core && this.#do(this.#core.expire()), left);
    // In Node it keeps no program running.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** Has the core asked about messages of the page as far as it knows more of them. */
  #setReach(): void {
    const core = this.#core;
    const hasOthers = [...this.#numbered.values()].some(({ peer }) => !peer.isPage);
    this.#lane.reach = undefined;
    if (!core || (!hasOthers && this.#options.access === "open")) return;
    this.#lane.reach = (session: Session, tags: readonly TagLike[]) => {
      const text = JSON.stringify({ command: "publish", tags: tags.map(nameOf) });
      const [found] = core.reach(session.number, text);
      return found?.numbers.slice(1).map((number) => this.#numbered.get(number)!.peer);
    };
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
    const session = this.#open({
      isPage: true,
      post: (text) => defer(() => attempt.receive(text)),
      lose: (reason) => attempt.lost(reason),
    });
    const toBroker: Socket = {
      send: (text) => {
        const { carried } = this.#lane;
        defer(() => this.#receive(session, { text, carried }));
      },
    };
    attempt.open(toBroker, new SessionLane(this.#lane, session));
    return () => this.#disconnect(session);
  }

  #open(peer: Peer): Session {
    const session = new Session(peer);
    this.#sessions.add(session);
    this.#sessionsTotal += 1;
    if (this.#core) this.#connect(session);
    return session;
  }

  /** Takes a message of a client, after what it waits for. */
  #receive(session: Session, sent: Sent): void {
    if (!this.#sessions.has(session)) return;
    if (session.waiting) {
      session.waiting.push(sent);
      session.ahead += sent.text.length;
      if (session.ahead > AHEAD) this.#cut(session, `more than ${AHEAD} characters sent ahead of an answer`);
    } else if (this.#core) {
      const core = this.#core;
      this.#lane.carrying(sent.carried, () => this.#do(core.receive(session.number, sent.text)));
    } else if (!enter(() => this.#plain.take(session, sent))) {
      session.waiting = [sent];
      this.#need(session);
    }
  }

  /** Has a session wait until the core is there. */
  #need(session: Session): void {
    this.#load().catch((error: unknown) => this.#cut(session, textOf(error)));
  }

  /** Goes on with what a session has sent while it waited. */
  #go(session: Session): void {
    for (const sent of session.go()) this.#receive(session, sent);
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
    const detach = (): void => {
      if (!this.#sessions.has(session)) return;
      this.#disconnect(session);
      session.peer.lose("");
    };
    const session = this.#open({
      isPage: false,
      post: (text) => {
        try {
          port.postMessage(text);
        } catch {
          // It is closed, or its other side has gone; its owner hears of that.
        }
      },
      lose: () => leave(port, detach),
    });
    if (this.#core) {
      this.#setReach();
    } else {
      session.waiting = [];
      this.#need(session);
    }
    port.onmessage = ({ data }: MessageEvent) => {
      if (data === GOODBYE) return detach();
      enter(() => this.#receive(session, { text: textOfPost(data), carried: undefined }));
    };
    port.addEventListener?.("close", detach);
    return detach;
  }

  /** Ends a session that has left. */
  #disconnect(session: Session): void {
    if (!this.#forget(session) || !this.#core) return;
    this.#do(this.#core.disconnect(session.number));
  }

  /** Ends a session of the broker's own accord. */
  #cut(session: Session, reason: string): void {
    this.#disconnect(session);
    session.peer.lose(reason);
  }

  /** Forgets a session; returns whether it was known. */
  #forget(session: Session): boolean {
    if (!this.#sessions.delete(session)) return false;
    this.#numbered.delete(session.number);
    this.#plain.clear(session);
    session.go();
    if (!session.peer.isPage) this.#setReach();
    return true;
  }

  /** Notes that the core has let go of a session. */
  #lose(session: Session, reason: string): void {
    if (this.#forget(session)) session.peer.lose(reason);
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
    if (COMMANDS.includes(name)) {
      throw new MistError("invalid-argument", `"${name}" is a command of the protocol: choose another name`);
    }
    this.#core?.addCommand(name);
    this.#commands.set(name, handler);
  }

  async #run(session: Session, [command = "", data = "", ...tags]: readonly string[]): Promise<void> {
    let answered: string[] = [];
    let hasFailed = false;
    try {
      const reply = await this.#commands.get(command)?.({ command, tags, data });
      if (typeof reply === "object" && reply !== null && ("tags" in reply || "data" in reply)) {
        const { tags = [], data } = reply as Partial<Reply>;
        answered = [textOfData(data), ...[...tags].map(nameOf)];
      } else if (reply !== undefined) {
        answered = [textOfData(reply)];
      }
    } catch (error) {
      hasFailed = true;
      answered = [textOf(error) || "the command failed"];
    }
    const core = this.#core;
    if (!core || !this.#sessions.has(session)) return;
    enter(() => {
      const sent = session.go();
      this.#do(core.answer(session.number, hasFailed, answered));
      for (const message of sent) this.#receive(session, message);
    });
  }

  // --- figures, and the end -----------------------------------------------------------------------------------------

  /** A handle for a tag, good for all clients of this broker. */
  tag(name: string): Tag {
    return this.#lane.tag(name);
  }

  /** Figures of the broker. */
  stats(): BrokerStats {
    const holding = [...this.#sessions].filter(({ held }) => held.size > 0);
    const core = this.#core;
    return {
      sessions: this.#sessions.size,
      sessionsTotal: this.#isClosed ? 0 : this.#sessionsTotal,
      subscribers: core ? core.subscribers : holding.length,
      subscriptions: core ? core.subscriptions : this.#plain.subscriptions,
      ...this.#lane.figures(),
      memoryBytes: core ? core.memoryBytes : 0,
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
    for (const session of [...this.#sessions]) this.#lose(session, "the broker is closed");
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#core = undefined;
    this.#lane.reach = undefined;
    this.#lane.sets.clear();
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
