/**
 * Owns the fast lane of a page's broker: tags and tag sets are numbers, messages stay JavaScript values. Knows nothing
 * of how clients and ports come and go; who may do what is the core's to say.
 */

import type { Core } from "./core.js";
import { MistError } from "./error.js";
import type { Lane } from "./link.js";
import { Delivered, copyOf, nameOf, wellFormed } from "./message.js";
import { Receivers } from "./receivers.js";
import type { LocalSubscription } from "./subscription.js";
import { enter } from "./turn.js";
import type { BrokerStats, Outgoing, Tag, TagLike } from "./types.js";

type CoreBroker = InstanceType<Core["Broker"]>;

/** A tag that remembers its number at the broker of a lane. */
class Handle implements Tag {
  readonly name: string;
  readonly lane: FastLane;
  number: number | undefined;
  /** When it was looked up; it is right as long as no tag came into use or went out of it. */
  lookedUp = -1;

  constructor(name: string, lane: FastLane) {
    this.name = name;
    this.lane = lane;
  }
}

/** Room for the numbers of tags, as the core has it. */
const AREA = 4096;

/** The value of a message that goes over the wire as text. */
export interface Carried {
  readonly data: unknown;
}

/** The fast lane of a broker, for all its sessions in this page. */
export class FastLane {
  /** Whether there are sessions outside the page, which get messages as text. */
  hasPorts = false;
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
  #carried: Carried | undefined;
  #published = 0;
  #delivered = 0;
  #dropped = 0;

  constructor(core: CoreBroker, memory: WebAssembly.Memory) {
    this.#core = core;
    this.#memory = memory;
    this.#area = core.area() >>> 2;
    const tags = Math.min(core.tags_per_message(), AREA);
    this.#limits = { message: core.message_bytes(), tags, tag: core.tag_bytes() };
  }

  /** A handle for a tag. */
  tag(name: string): Tag {
    return new Handle(nameOf(name), this);
  }

  /** Notes that a number stands for another tag, or for none. */
  number(number: number, name: string | undefined): void {
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
      else if (tag instanceof Handle && tag.lane === this) number = this.#numberOf(tag);
      else return -1;
      if (number !== undefined) {
        words[at + count] = number;
        count += 1;
      } else {
        const name = typeof tag === "string" ? tag : tag.name;
        // It may be too long, as a unit of UTF-16 is at most three bytes, or reserved, or stand for another.
        if (name.length * 3 > longest || name.startsWith("$") || name !== wellFormed(name)) return -1;
      }
    }
    return count;
  }

  /** Whether a message may be over the limit for all that is known at once: escapes are six bytes at most. */
  #isLarge(data: unknown): boolean {
    const { message, tags, tag } = this.#limits;
    return 6 * (tags * tag + (typeof data === "string" ? data.length : 0)) + 256 > message;
  }

  /**
   * Refuses a message that the broker would hang up for.
   * @throws MistError `too-large`.
   */
  check(command: string, tags: readonly string[], data: string, hasId: boolean): void {
    if (!this.#isLarge(data)) return;
    const limit = this.#limits.message;
    const id = hasId ? { id: Number.MAX_SAFE_INTEGER } : {};
    const size = new TextEncoder().encode(JSON.stringify({ command, tags, data, ...id })).length;
    if (size > limit) {
      throw new MistError("too-large", `a message of ${size} bytes exceeds the limit of ${limit} (message-bytes)`);
    }
  }

  /** Publishes; `false` when the message must go over the wire, since only the core can tell what to do. */
  publish(session: number, owner: object, tags: readonly TagLike[], data: unknown): boolean {
    // First, since a getter in it may publish, and that is written to the same place.
    const value = copyOf(data);
    const count = this.#write(tags, this.#area);
    if (count < 0 || this.#isLarge(data)) return false;
    const found = this.#core.publish(session, count);
    if (found < 0) return false;
    // Before anybody has it: what has no JSON cannot go to a port.
    const wire = this.hasPorts && this.#core.reached() > 0 ? this.#wire(tags, value) : undefined;
    this.#published += 1;
    if (found > 0) this.#hand(found, this.#found(found), owner, tags, value);
    if (wire !== undefined) enter(() => this.#core.forward(wire));
    return true;
  }

  /** A message as it goes over a port. */
  #wire(tags: readonly TagLike[], value: unknown): string {
    const { tags: names, text } = new Delivered(tags, value, false);
    this.check("publish", names, text, false);
    return JSON.stringify({ command: "publish", tags: names, ...(text === "" ? {} : { data: text }) });
  }

  /** Publishes several, all or none. */
  publishAll(session: number, owner: object, messages: readonly Outgoing[]): boolean {
    // What goes to ports is sent one by one.
    if (this.hasPorts) return false;
    let at = this.#area;
    const end = this.#area + AREA - this.#limits.tags - 1;
    // First, since getters in them may publish, and that is written to the same place.
    const values = messages.map((message: Outgoing | undefined) => copyOf(message?.data));
    for (const message of messages as readonly (Outgoing | undefined)[]) {
      const count = message && at < end ? this.#write(message.tags, at + 1) : -1;
      if (count < 0 || this.#isLarge(message?.data)) return false;
      this.#words[at] = count;
      at += count + 1;
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
    // A copy, since the array is the application's; sorted names are only made on request.
    const message = new Delivered(tags.slice(), data === undefined ? "" : data, false);
    for (let index = 0; index < count; index++) {
      const holders = this.#sets[words[at + index]!];
      if (holders === undefined) continue;
      const others = holders.count(owner);
      if (others === 0) continue;
      if (holders.queue(message, owner)) {
        this.#delivered += others;
      } else {
        this.#dropped += others;
        for (const other of holders.all) if (other.lane !== owner) other.drop();
      }
    }
  }

  /** Publishes over the wire with a value that the page gets as it is. */
  carry<T>(data: unknown, publish: () => T): T {
    this.#published += 1;
    return this.carrying({ data: copyOf(data) }, publish);
  }

  /** The value of the message that goes over the wire now. */
  get carried(): Carried | undefined {
    return this.#carried;
  }

  /** Does something while this value goes over the wire. */
  carrying<T>(carried: Carried | undefined, work: () => T): T {
    const before = this.#carried;
    this.#carried = carried;
    try {
      return work();
    } finally {
      this.#carried = before;
    }
  }

  /** Takes messages for a subscription if the session holds it. */
  add(session: number, owner: object, subscription: LocalSubscription): void {
    if (subscription.set >= 0 || subscription.closed) return;
    const set = this.#core.set_number(session, [...subscription.tags]);
    if (set < 0) return;
    subscription.set = set;
    subscription.lane = owner;
    this.#sets[set] = (this.#sets[set] ?? new Receivers()).with(subscription, subscription.handler);
  }

  /** Takes no more messages for a subscription. */
  remove(subscription: LocalSubscription): void {
    const { set } = subscription;
    if (set < 0) return;
    subscription.set = -1;
    const left = this.#sets[set]?.without(subscription);
    this.#sets[set] = left?.all.length ? left : undefined;
  }

  /** Takes a message that went over the wire, for the subscriptions of the page. */
  deliver(owner: object | undefined, found: number, count: number, text: string): void {
    const message = JSON.parse(text) as { tags: string[]; data?: string };
    const data = this.#carried ? this.#carried.data : (message.data ?? "");
    this.#hand(count, found >>> 2, owner, message.tags, data);
  }

  figures(): Pick<BrokerStats, "published" | "delivered" | "dropped" | "memoryBytes"> {
    return {
      published: this.#published,
      delivered: this.#delivered,
      dropped: this.#dropped,
      memoryBytes: this.#memory.buffer.byteLength,
    };
  }

  /** Forgets everything: the broker has gone. */
  clear(): void {
    this.#numbers.clear();
    this.#sets = [];
  }
}

/** The fast lane of one session. */
export class SessionLane implements Lane {
  #lane: FastLane;
  #session: number;
  #owner: object;

  constructor(lane: FastLane, session: number, owner: object) {
    this.#lane = lane;
    this.#session = session;
    this.#owner = owner;
  }

  publish(tags: readonly TagLike[], data: unknown): boolean {
    return this.#lane.publish(this.#session, this.#owner, tags, data);
  }

  publishAll(messages: readonly Outgoing[]): boolean {
    return this.#lane.publishAll(this.#session, this.#owner, messages);
  }

  check(command: string, tags: readonly string[], data: string, hasId: boolean): void {
    this.#lane.check(command, tags, data, hasId);
  }

  carry<T>(data: unknown, publish: () => T): T {
    return this.#lane.carry(data, publish);
  }

  tag(name: string): Tag {
    return this.#lane.tag(name);
  }

  add(subscription: LocalSubscription): void {
    this.#lane.add(this.#session, this.#owner, subscription);
  }

  remove(subscription: LocalSubscription): void {
    this.#lane.remove(subscription);
  }
}
