/**
 * Owns a broker in this page: its sessions, and the fast lane, on which tags and tag sets are numbers and messages
 * stay JavaScript values. What is decided is decided by the core.
 */

import { bridge } from "./bridge.js";
import { LinkedClient, type Settings } from "./client.js";
import { type Core, core } from "./core.js";
import { Receivers, queue } from "./dispatch.js";
import { MistError, textOf } from "./error.js";
import { type Attempt, GOODBYE, type Lane, type Link, type Socket, leave } from "./link.js";
import { Delivered, copyOf, nameOf } from "./message.js";
import { type SharedBroker, type SharedOptions, shared } from "./shared.js";
import type { LocalSubscription } from "./subscription.js";
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
  Outgoing,
  Tag,
  TagLike,
} from "./types.js";

type CoreBroker = InstanceType<Core["Broker"]>;

/** A tag that remembers its number at a broker. */
class Handle implements Tag {
  readonly name: string;
  readonly broker: Broker;
  number: number | undefined;
  /** When it was looked up; it is right as long as no tag came into use or went out of it. */
  lookedUp = -1;

  constructor(name: string, broker: Broker) {
    this.name = name;
    this.broker = broker;
  }
}

/** What the core's broker needs of a port. */
interface Port {
  postMessage(message: string): void;
}

/** Room for the numbers of tags, as the core has it. */
const AREA = 4096;

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

/** A broker in this page, in this worker, or in this program. */
export class Broker {
  #module: Core;
  /** Its own, for the bridges. */
  #token: string | undefined;
  #core: CoreBroker;
  #memory: WebAssembly.Memory;
  #words = new Uint32Array(0);
  #area: number;
  #foundAt = 0;
  #foundRoom = 0;
  #limits: { message: number; tags: number; tag: number };
  /** Of the tags that subscriptions hold; no other can match. */
  #numbers = new Map<string, number>();
  /** The same the other way round. */
  #names: (string | undefined)[] = [];
  /** How often they have changed. */
  #changes = 0;
  /** By the number of the tag set. */
  #sets: (Receivers | undefined)[] = [];
  /** By session. */
  #attempts = new Map<number, Attempt>();
  #ports = new Map<number, () => void>();
  #owners = new Map<number, object>();
  #commands = new Map<string, CommandHandler>();
  #clients = new Set<LinkedClient>();
  /** The value of the message that goes over the wire now. */
  #carried: { data: unknown } | undefined;
  #published = 0;
  #delivered = 0;
  #dropped = 0;
  #isClosed = false;

  /**
   * Returns the one broker of all tabs of this origin that ask for the same name. It lives in a SharedWorker; where
   * there is none, in one of the tabs, and when that tab is closed, in another.
   * @throws MistError `unsupported` where there is neither SharedWorker nor BroadcastChannel with Web Locks.
   */
  static shared(name: string, options?: SharedOptions): Promise<SharedBroker> {
    return shared(name, options);
  }

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
    this.#module = module;
    this.#token = token || undefined;
    this.#memory = module.linear_memory() as WebAssembly.Memory;
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
    const broker = this.#core;
    this.#area = broker.area() >>> 2;
    const tags = Math.min(broker.tags_per_message(), AREA);
    this.#limits = { message: broker.message_bytes(), tags, tag: broker.tag_bytes() };
  }

  /** What the core calls. It is at work meanwhile: nothing here may call it. */
  #host(): object {
    return {
      tag: (number: number, name: string | undefined) => this.#number(number, name),
      deliver: (session: number, found: number, count: number, text: string) => {
        const { data } = this.#carried ?? {};
        const message = JSON.parse(text) as { tags: string[]; data?: string };
        const value = this.#carried ? data : (message.data ?? "");
        this.#hand(count, found >>> 2, this.#owners.get(session), message.tags, value);
      },
      command: (session: number, name: string, tags: string[], data: string) => {
        const owner = this.#owners.get(session);
        queueMicrotask(() => void this.#run(session, owner, { command: name, tags, data }));
      },
      closed: (session: number) => defer(() => this.#lose(session, "the broker closed the connection")),
    };
  }

  // --- clients and ports --------------------------------------------------------------------------------------------

  /** Makes a client of this broker. */
  client(options: LocalOptions = {}): Client {
    this.#checkOpen();
    const link: Link = { hasStaticToken: true, dial: (attempt) => this.dial(attempt, options.token) };
    const client = new LinkedClient(this.#module, link, SETTINGS, options.signal, (client) =>
      this.#clients.delete(client),
    );
    if (client.state !== "closed") this.#clients.add(client);
    return client;
  }

  /** Connects a client of this page. */
  dial(attempt: Attempt, token: string | undefined): () => void {
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
      send: (text) =>
        defer(() => {
          if (this.#owners.get(session) === owner) this.#core.receive(session, text);
        }),
    };
    attempt.open(toBroker, token, new PageLane(this, session, owner));
    return () => {
      if (this.#owners.get(session) === owner) this.#disconnect(session);
    };
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
    this.#owners.set(session, hangUp);
    port.onmessage = ({ data }: MessageEvent) => {
      if (this.#ports.get(session) !== hangUp) return;
      if (data === GOODBYE) return detach();
      const text = typeof data === "string" ? data : JSON.stringify(data) ?? String(data);
      enter(() => this.#core.receive(session, text));
    };
    port.addEventListener?.("close", detach);
    return detach;
  }

  #disconnect(session: number): void {
    this.#attempts.delete(session);
    this.#ports.delete(session);
    this.#owners.delete(session);
    if (!this.#isClosed) enter(() => this.#core.disconnect(session));
  }

  /** Notes that the core has let go of a session. */
  #lose(session: number, reason: string): void {
    const attempt = this.#attempts.get(session);
    const hangUp = this.#ports.get(session);
    this.#attempts.delete(session);
    this.#ports.delete(session);
    this.#owners.delete(session);
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
    this.#commands.set(name, handler);
    enter(() => this.#core.add_command(name));
  }

  async #run(session: number, owner: object | undefined, call: CommandCall): Promise<void> {
    let answered: { tags: string[]; data: string } | undefined;
    let failed: string | undefined;
    try {
      const reply = await this.#commands.get(call.command)?.(call);
      if (typeof reply === "string") answered = { tags: [], data: reply };
      else if (reply) answered = { tags: [...(reply.tags ?? [])], data: reply.data ?? "" };
    } catch (error) {
      failed = textOf(error) || "the command failed";
    }
    // Somebody else may have the session's number by now.
    if (this.#isClosed || !owner || this.#owners.get(session) !== owner) return;
    enter(() => this.#core.answer(session, answered?.tags ?? [], answered?.data, failed));
  }

  // --- the fast lane ------------------------------------------------------------------------------------------------

  /** A handle for a tag. */
  tag(name: string): Tag {
    return new Handle(nameOf(name), this);
  }

  /** Notes that a number stands for another tag, or for none. */
  #number(number: number, name: string | undefined): void {
    const old = this.#names[number];
    // By now the old name may have another number.
    if (old !== undefined && this.#numbers.get(old) === number) this.#numbers.delete(old);
    this.#names[number] = name;
    if (name !== undefined) this.#numbers.set(name, number);
    this.#changes += 1;
  }

  #numberOf(handle: Handle): number | undefined {
    if (handle.lookedUp !== this.#changes) {
      handle.number = this.#numbers.get(handle.name);
      handle.lookedUp = this.#changes;
    }
    return handle.number;
  }

  /** The memory of the core, as words; it moves when it grows. */
  #view(): Uint32Array {
    if (this.#words.length === 0) this.#words = new Uint32Array(this.#memory.buffer);
    return this.#words;
  }

  /** Where the core has put so many words. It stays there as long as they fit. */
  #found(count: number): number {
    if (count > this.#foundRoom) {
      this.#foundRoom = count;
      this.#foundAt = this.#core.found() >>> 2;
    }
    return this.#foundAt;
  }

  /** Writes the numbers of the tags in use; returns how many, or -1 when only the core can tell what to do. */
  #write(tags: readonly TagLike[], at: number): number {
    const { tags: most, tag: longest } = this.#limits;
    if (!Array.isArray(tags) || tags.length === 0 || tags.length > most) return -1;
    const words = this.#view();
    let count = 0;
    for (let index = 0; index < tags.length; index++) {
      const tag = tags[index]!;
      let number: number | undefined;
      if (typeof tag === "string") number = this.#numbers.get(tag);
      else if (tag instanceof Handle && tag.broker === this) number = this.#numberOf(tag);
      else return -1;
      if (number !== undefined) {
        words[at + count] = number;
        count += 1;
      } else if ((typeof tag === "string" ? tag : tag.name).length * 3 > longest) {
        // It may be too long: a unit of UTF-16 is at most three bytes.
        return -1;
      }
    }
    return count;
  }

  /** Whether data may be over the limit. Tags alone hardly are, and escapes are six bytes at most. */
  #isLarge(data: unknown): boolean {
    return typeof data === "string" && data.length * 8 > this.#limits.message;
  }

  /** @internal */
  check(tags: readonly string[], text: string): void {
    if (!this.#isLarge(text)) return;
    const limit = this.#limits.message;
    const size = new TextEncoder().encode(JSON.stringify({ command: "publish", tags, data: text })).length;
    if (size > limit) {
      throw new MistError("too-large", `a message of ${size} bytes exceeds the limit of ${limit} (message-bytes)`);
    }
  }

  /** @internal */
  publish(session: number, owner: object, tags: readonly TagLike[], data: unknown): boolean {
    const count = this.#write(tags, this.#area);
    if (count < 0 || this.#isLarge(data)) return false;
    const value = copyOf(data);
    const found = this.#core.publish(session, count);
    if (found < 0) return false;
    // Before anybody has it: what has no JSON cannot go to a port.
    const wire = this.#ports.size > 0 && this.#core.reached() > 0 ? this.#wire(tags, value) : undefined;
    this.#published += 1;
    if (found > 0) this.#hand(found, this.#found(found), owner, tags, value);
    if (wire !== undefined) enter(() => this.#core.forward(wire));
    return true;
  }

  /** A message as it goes over a port. */
  #wire(tags: readonly TagLike[], value: unknown): string {
    const { tags: names, text } = new Delivered(tags, value, false);
    this.check(names, text);
    return JSON.stringify({ command: "publish", tags: names, ...(text === "" ? {} : { data: text }) });
  }

  /** @internal */
  publishAll(session: number, owner: object, messages: readonly Outgoing[]): boolean {
    // What goes to ports is sent one by one.
    if (this.#ports.size > 0) return false;
    let at = this.#area;
    const end = this.#area + AREA - this.#limits.tags - 1;
    const values: unknown[] = [];
    for (const message of messages as readonly (Outgoing | undefined)[]) {
      const count = message && at < end ? this.#write(message.tags, at + 1) : -1;
      if (count < 0 || this.#isLarge(message?.data)) return false;
      this.#words[at] = count;
      at += count + 1;
      values.push(copyOf(message?.data));
    }
    const found = this.#core.publish_all(session, messages.length);
    if (found < 0) return false;
    this.#published += messages.length;
    const words = this.#view();
    let place = this.#found(found);
    for (let index = 0; index < messages.length; index++) {
      const count = words[place]!;
      if (count > 0) this.#hand(count, place + 1, owner, messages[index]!.tags, values[index]);
      place += count + 1;
    }
    return true;
  }

  /** Hands a message to the subscriptions of the page that hold the tag sets found, except the publisher's own. */
  #hand(count: number, at: number, owner: object | undefined, tags: readonly TagLike[], data: unknown): void {
    const words = this.#view();
    // A copy, since the array is the application's; names in order wait until somebody asks.
    const message = new Delivered(tags.slice(), data === undefined ? "" : data, false);
    for (let index = 0; index < count; index++) {
      const holders = this.#sets[words[at + index]!];
      if (holders === undefined) continue;
      if (queue(holders, message, owner)) {
        this.#delivered += holders.all.length;
      } else {
        this.#dropped += holders.all.length;
        for (const subscription of holders.all) (subscription as LocalSubscription).drop();
      }
    }
  }

  /** @internal */
  carry<T>(data: unknown, publish: () => T): T {
    this.#published += 1;
    this.#carried = { data: copyOf(data) };
    try {
      return publish();
    } finally {
      this.#carried = undefined;
    }
  }

  /** @internal */
  add(session: number, owner: object, subscription: LocalSubscription): void {
    if (subscription.set >= 0 || subscription.closed || this.#owners.get(session) !== owner) return;
    const set = this.#core.set_number(session, [...subscription.tags]);
    if (set < 0) return;
    subscription.set = set;
    subscription.lane = owner;
    this.#sets[set] = (this.#sets[set] ?? new Receivers()).with(subscription, subscription.handler);
  }

  /** @internal */
  remove(subscription: LocalSubscription): void {
    const { set } = subscription;
    if (set < 0) return;
    subscription.set = -1;
    const left = this.#sets[set]?.without(subscription);
    this.#sets[set] = left?.all.length ? left : undefined;
  }

  // --- figures, and the end -----------------------------------------------------------------------------------------

  /** Figures of the broker. */
  stats(): BrokerStats {
    const core = this.#isClosed ? undefined : this.#core;
    return {
      sessions: core?.sessions() ?? 0,
      sessionsTotal: core?.sessions_total() ?? 0,
      subscribers: core?.subscribers() ?? 0,
      subscriptions: core?.subscriptions() ?? 0,
      published: this.#published,
      delivered: this.#delivered,
      dropped: this.#dropped,
      memoryBytes: this.#memory.buffer.byteLength,
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
    this.#core.free();
    this.#numbers.clear();
    this.#sets = [];
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new MistError("closed", "the broker is closed: create another");
  }
}

/** The fast lane of one session. */
class PageLane implements Lane {
  #broker: Broker;
  #session: number;
  #owner: object;

  constructor(broker: Broker, session: number, owner: object) {
    this.#broker = broker;
    this.#session = session;
    this.#owner = owner;
  }

  publish(tags: readonly TagLike[], data: unknown): boolean {
    return this.#broker.publish(this.#session, this.#owner, tags, data);
  }

  publishAll(messages: readonly Outgoing[]): boolean {
    return this.#broker.publishAll(this.#session, this.#owner, messages);
  }

  check(tags: readonly string[], text: string): void {
    this.#broker.check(tags, text);
  }

  carry<T>(data: unknown, publish: () => T): T {
    return this.#broker.carry(data, publish);
  }

  tag(name: string): Tag {
    return this.#broker.tag(name);
  }

  add(subscription: LocalSubscription): void {
    this.#broker.add(this.#session, this.#owner, subscription);
  }

  remove(subscription: LocalSubscription): void {
    this.#broker.remove(subscription);
  }
}
