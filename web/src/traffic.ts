/** Owns what was published and who got it. It does not know how either is shown. */

import { MistError, type Message } from "mist-pubsub";
import type { Subscriber } from "./model.js";
import { key, missing, normal } from "./tags.js";
import { reasonOf, type Wire } from "./wire.js";

/** Where a message is from: a publisher of this page, this page's composer, or another tab or program. */
export type Origin = { readonly kind: "publisher"; readonly id: string } | { readonly kind: "hand" | "elsewhere" };

/** One message as the board saw it. */
export interface Entry {
  readonly id: number;
  readonly at: Date;
  readonly tags: readonly string[];
  readonly text: string;
  readonly origin: Origin;
  /** The subscribers there were. */
  readonly subscribers: readonly Subscriber[];
  /** The ids of the subscribers that the broker delivered it to. */
  readonly got: Set<string>;
  /** What went wrong, as a sentence: the broker did not take it, or nobody knows. */
  error?: string;
}

/** Why a subscriber did not get a message. */
export interface Verdict {
  readonly subscriber: Subscriber;
  readonly got: boolean;
  /** The subscriber's tags that are not on the message. */
  readonly missing: readonly string[];
}

/** Says for each subscriber whether it got the message, and what was missing. */
export function explain(entry: Entry): Verdict[] {
  return entry.subscribers.map((subscriber) => ({
    subscriber,
    got: entry.got.has(subscriber.id),
    missing: missing(subscriber.tags, entry.tags),
  }));
}

interface Events {
  /** A message is on its way, or came from elsewhere; or it has an error already, and goes nowhere. */
  appeared(entry: Entry): void;
  /** The broker delivered it to a subscriber. */
  delivered(entry: Entry, subscriber: Subscriber): void;
  /** The broker did not take it. */
  refused(entry: Entry): void;
  /** The broker does not give a subscriber what it asks for, and why; for no reason, it may. */
  barred(subscriber: Subscriber, why: string): void;
}

/** How many tags are watched to see messages that no subscriber gets; and for how long an own message may be on its way. */
const watchedTags = 64;
const onTheWayMs = 10_000;

/** Publishes the board's messages, and finds out which subscriber got which. */
export class Traffic {
  readonly #wire: Wire;
  readonly #events: Events;
  #subscribers: readonly Subscriber[] = [];
  /** The ids of those that the broker gives nothing. */
  readonly #barred = new Set<string>();
  readonly #subscribed = new Map<string, Subscriber>();
  #watched = new Set<string>();
  /** All handlers of one message get the same object. */
  readonly #entries = new WeakMap<Message, Entry>();
  #onTheWay: Entry[] = [];
  #count = 0;

  constructor(wire: Wire, events: Events) {
    this.#wire = wire;
    this.#events = events;
  }

  /** Subscribes for the subscribers as they are now, and to every tag the board knows, one by one: so it sees near misses. */
  update(subscribers: readonly Subscriber[], tags: Iterable<string>): void {
    this.#subscribers = subscribers.filter(({ tags }) => tags.length > 0);
    for (const [id, subscriber] of this.#subscribed) {
      const now = subscribers.find((each) => each.id === id);
      if (now && key(now.tags) === key(subscriber.tags)) continue;
      this.#wire.unwant(`subscriber ${id}`);
      this.#subscribed.delete(id);
    }
    for (const subscriber of this.#subscribers) {
      const { id, tags } = subscriber;
      if (this.#subscribed.has(id)) continue;
      this.#subscribed.set(id, subscriber);
      const refused = (why: string): void => {
        if (why) this.#barred.add(id);
        else this.#barred.delete(id);
        this.#events.barred(subscriber, why);
      };
      this.#wire.want(`subscriber ${id}`, tags, (message) => this.#arrive(message, id), refused);
    }
    const watched = new Set([...new Set(tags)].slice(0, watchedTags));
    for (const tag of this.#watched) if (!watched.has(tag)) this.#wire.unwant(`tag ${tag}`);
    for (const tag of watched) {
      if (!this.#watched.has(tag)) this.#wire.want(`tag ${tag}`, [tag], (message) => this.#arrive(message));
    }
    this.#watched = watched;
  }

  /** The subscribers that ask for something which the broker does not refuse them. */
  get listening(): readonly Subscriber[] {
    return this.#subscribers.filter(({ id }) => !this.#barred.has(id));
  }

  /** The subscribers that ask for nothing else than these tags: those that would get such a message. */
  matching(tags: readonly string[]): Subscriber[] {
    return this.listening.filter((subscriber) => missing(subscriber.tags, tags).length === 0);
  }

  /** Publishes a message, and returns once it is known who got it, or why nobody did. */
  async publish(tags: readonly string[], text: string, origin: Origin): Promise<Entry> {
    const entry = this.#make(normal(tags), text, origin);
    if (this.#wire.standing.phase !== "open") {
      entry.error = `Not published: ${this.#wire.standing.reason || "there is no connection yet"}.`;
      this.#events.appeared(entry);
      return entry;
    }
    this.#onTheWay = this.#onTheWay.filter((each) => Date.now() - each.at.getTime() < onTheWayMs);
    if (entry.tags.some((tag) => this.#watched.has(tag)) || this.matching(entry.tags).length > 0) this.#onTheWay.push(entry);
    this.#events.appeared(entry);
    try {
      await this.#wire.publish(entry.tags, text);
    } catch (error) {
      this.#onTheWay = this.#onTheWay.filter((each) => each !== entry);
      const isUnknown = error instanceof MistError && ["connection-lost", "timeout"].includes(error.code);
      entry.error = `${isUnknown ? "Not known whether it arrived" : "Not published"}: ${reasonOf(error)}.`;
      this.#events.refused(entry);
    }
    return entry;
  }

  #arrive(message: Message, subscriberId?: string): void {
    let entry = this.#entries.get(message);
    if (!entry) {
      entry = this.#claim(message) ?? this.#fromElsewhere(message);
      this.#entries.set(message, entry);
    }
    const subscriber = entry.subscribers.find((each) => each.id === subscriberId);
    if (!subscriber || entry.got.has(subscriber.id)) return;
    entry.got.add(subscriber.id);
    this.#events.delivered(entry, subscriber);
  }

  /** Finds the own message that this is: they arrive in the order they were published. */
  #claim(message: Message): Entry | undefined {
    if (this.#onTheWay.length === 0) return undefined;
    const tags = key(message.tags);
    const found = this.#onTheWay.find((entry) => entry.text === message.text && key(entry.tags) === tags);
    if (found) this.#onTheWay.splice(this.#onTheWay.indexOf(found), 1);
    return found;
  }

  #fromElsewhere(message: Message): Entry {
    const entry = this.#make(message.tags, message.text, { kind: "elsewhere" });
    this.#events.appeared(entry);
    return entry;
  }

  #make(tags: readonly string[], text: string, origin: Origin): Entry {
    this.#count += 1;
    return { id: this.#count, at: new Date(), tags, text, origin, subscribers: this.listening, got: new Set() };
  }
}
