/**
 * Owns the short way of messages inside a page: from who publishes to the subscriptions, as JavaScript values. Knows
 * nothing of how clients and ports come and go; who may do what is for others to say.
 */

import { MistError } from "./error.js";
import type { Lane } from "./link.js";
import { Delivered, copyOf, nameOf, wellFormed } from "./message.js";
import { Receivers } from "./receivers.js";
import type { Carried, Peer, Session } from "./session.js";
import { type TagSet, TagSets } from "./sets.js";
import type { LocalSubscription } from "./subscription.js";
import type { BrokerStats, Tag, TagLike } from "./types.js";

/** A tag that remembers its number in a lane. */
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

/** What a broker takes that is told nothing else: bytes of a message, its tags, and bytes of one. */
const LIMITS = { message: 4 << 20, tags: 64, tag: 1024 };

const NOBODY: readonly Peer[] = [];

/** The fast lane of a broker, for all its sessions in this page. */
export class FastLane {
  readonly sets = new TagSets();
  /**
   * Says who outside the page gets a message; nothing when only the core can tell what to do with it. Without this there is
   * nobody, and everything is allowed.
   */
  reach: ((session: Session, tags: readonly TagLike[]) => readonly Peer[] | undefined) | undefined;
  #limits = LIMITS;
  #numbers = new Uint32Array(64);
  #carried: Carried | undefined;
  #published = 0;
  #delivered = 0;
  #dropped = 0;

  /** Notes what the broker was told of what a message may be. */
  limit(limits: Readonly<Record<string, number>>): void {
    const { message, tags, tag } = LIMITS;
    const { "message-bytes": most = message, "tags-per-message": count = tags, "tag-bytes": longest = tag } = limits;
    this.#limits = { message: most, tags: count, tag: longest };
  }

  /** A handle for a tag. */
  tag(name: string): Tag {
    return new Handle(nameOf(name), this);
  }

  /** Notes the numbers of the tags that are in use; returns how many these are. */
  #look(tags: readonly TagLike[]): number {
    const { sets } = this;
    if (tags.length > this.#numbers.length) this.#numbers = new Uint32Array(tags.length);
    let count = 0;
    for (let index = 0; index < tags.length; index++) {
      const tag = tags[index]!;
      let number: number | undefined;
      if (typeof tag === "string") number = sets.number(tag);
      else if (tag instanceof Handle && tag.lane === this) {
        if (tag.lookedUp !== sets.changes) {
          tag.number = sets.number(tag.name);
          tag.lookedUp = sets.changes;
        }
        number = tag.number;
      }
      if (number === undefined) continue;
      this.#numbers[count] = number;
      count += 1;
    }
    return count;
  }

  /** Whether nothing can be wrong with the tags of a message, of which so many are in use, and with its data. */
  #isFit(tags: readonly TagLike[], data: unknown, inUse: number): boolean {
    const { tags: most, tag: longest } = this.#limits;
    if (tags.length === 0 || tags.length > most || this.#isLarge(data)) return false;
    // What is in use has been looked at before.
    for (let index = 0; inUse < tags.length && index < tags.length; index++) {
      const tag = tags[index]!;
      if (typeof tag !== "string" && !(tag instanceof Handle && tag.lane === this)) return false;
      const name = typeof tag === "string" ? tag : tag.name;
      // It may be too long, as a unit of UTF-16 is at most three bytes, or reserved, or stand for another.
      if (name.length * 3 > longest || name.startsWith("$") || name !== wellFormed(name)) return false;
    }
    return true;
  }

  /** Whether nothing can be wrong with a message of these tags and data. */
  isFit(tags: readonly TagLike[], data: unknown): boolean {
    return this.#isFit(tags, data, this.#look(tags));
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

  /** Publishes; `false` when the message must go over the wire, since something else has to be said about it. */
  publish(session: Session, tags: readonly TagLike[], data: unknown): boolean {
    // First, since a getter in it may publish.
    const value = copyOf(data);
    if (session.waiting !== undefined || !Array.isArray(tags)) return false;
    const inUse = this.#look(tags);
    if (!this.#isFit(tags, data, inUse)) return false;
    const peers = this.reach ? this.reach(session, tags) : NOBODY;
    if (!peers) return false;
    // Before anybody has it: what has no JSON cannot go to a port.
    const text = peers.length > 0 ? this.#wire(tags, value) : "";
    this.#published += 1;
    this.#hand(session, inUse, tags, value);
    for (const peer of peers) peer.post(text);
    return true;
  }

  /** A message as it goes over a port. */
  #wire(tags: readonly TagLike[], value: unknown): string {
    const { tags: names, text } = new Delivered(tags, value, false);
    this.check("publish", names, text, false);
    return JSON.stringify({ command: "publish", tags: names, ...(text === "" ? {} : { data: text }) });
  }

  /** Hands a message to the subscriptions of the page that match, except the publisher's own. */
  deliver(session: object | undefined, tags: readonly string[], data: unknown): void {
    this.#hand(session, this.#look(tags), tags, data);
  }

  /** The same for a message of whose tags so many are in use, and noted. */
  #hand(session: object | undefined, inUse: number, tags: readonly TagLike[], data: unknown): void {
    const matches = this.sets.match(this.#numbers, inUse);
    if (matches === 0) return;
    const { found } = this.sets;
    // A copy, since the array is the application's; sorted names are only made on request.
    const message = new Delivered(tags.slice(), data === undefined ? "" : data, false);
    for (let index = 0; index < matches; index++) {
      const { receivers } = found[index]!;
      if (receivers === undefined) continue;
      const others = receivers.count(session);
      if (others === 0) continue;
      if (receivers.queue(message, session)) {
        this.#delivered += others;
      } else {
        this.#dropped += others;
        for (const other of receivers.all) if (other.lane !== session) other.drop();
      }
    }
  }

  /** How many other sessions hold a set that a message contains; as long as there is no core that knows. */
  count(session: Session, tags: readonly TagLike[]): number {
    const others = new Set<object>();
    const inUse = this.#look(tags);
    const matches = this.sets.match(this.#numbers, inUse);
    for (const { holders } of this.sets.found.slice(0, matches)) for (const holder of holders) others.add(holder);
    others.delete(session);
    return others.size;
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

  /** Takes messages for a subscription of a session, which holds it. */
  add(session: Session, subscription: LocalSubscription): void {
    if (subscription.set !== undefined || subscription.closed) return;
    const set = this.sets.hold(subscription.tags);
    subscription.set = set;
    subscription.lane = session;
    set.receivers = (set.receivers ?? new Receivers()).with(subscription, subscription.handler);
  }

  /** Takes no more messages for a subscription. */
  remove(subscription: LocalSubscription): void {
    const set = subscription.set as TagSet | undefined;
    if (set === undefined) return;
    subscription.set = undefined;
    const left = set.receivers?.without(subscription);
    set.receivers = left?.all.length ? left : undefined;
    this.sets.release(set);
  }

  figures(): Pick<BrokerStats, "published" | "delivered" | "dropped"> {
    return { published: this.#published, delivered: this.#delivered, dropped: this.#dropped };
  }
}

/** The fast lane of one session. */
export class SessionLane implements Lane {
  #lane: FastLane;
  #session: Session;

  constructor(lane: FastLane, session: Session) {
    this.#lane = lane;
    this.#session = session;
  }

  publish(tags: readonly TagLike[], data: unknown): boolean {
    return this.#lane.publish(this.#session, tags, data);
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
    this.#lane.add(this.#session, subscription);
  }

  remove(subscription: LocalSubscription): void {
    this.#lane.remove(subscription);
  }
}
