/** Owns what was published and who got it. It does not know how either is shown. */

import type { Message } from "mist-pubsub";
import type { Card } from "./model.js";
import { key, missing, normal } from "./tags.js";
import { reasonOf, type Wire } from "./wire.js";

/** Where a message is from: a vehicle of this page, this page's composer, or another tab or program. */
export type Origin = { readonly kind: "vehicle"; readonly id: string } | { readonly kind: "hand" | "elsewhere" };

/** One message as the board saw it. */
export interface Entry {
  readonly id: number;
  readonly at: Date;
  readonly tags: readonly string[];
  readonly text: string;
  readonly origin: Origin;
  /** The cards there were. */
  readonly cards: readonly Card[];
  /** The ids of the cards that the broker delivered it to. */
  readonly got: Set<string>;
  /** Why the broker did not take it. */
  error?: string;
}

/** Why a card did not get a message. */
export interface Verdict {
  readonly card: Card;
  readonly got: boolean;
  /** The card's tags that are not on the message. */
  readonly missing: readonly string[];
}

/** Says for each card whether it got the message, and what was missing. */
export function explain(entry: Entry): Verdict[] {
  return entry.cards.map((card) => ({
    card,
    got: entry.got.has(card.id),
    missing: missing(card.tags, entry.tags),
  }));
}

interface Events {
  /** A message is on its way, or came from elsewhere. */
  appeared(entry: Entry): void;
  /** The broker delivered it to a card. */
  delivered(entry: Entry, card: Card): void;
  /** The broker did not take it. */
  refused(entry: Entry): void;
}

/** How many tags are watched to see messages that no card gets; and for how long an own message may be on its way. */
const watchedTags = 64;
const onTheWayMs = 10_000;

/** Publishes the board's messages, and finds out which card got which. */
export class Traffic {
  readonly #wire: Wire;
  readonly #events: Events;
  #cards: readonly Card[] = [];
  readonly #subscribed = new Map<string, Card>();
  #watched = new Set<string>();
  /** All handlers of one message get the same object. */
  readonly #entries = new WeakMap<Message, Entry>();
  #onTheWay: Entry[] = [];
  #count = 0;

  constructor(wire: Wire, events: Events) {
    this.#wire = wire;
    this.#events = events;
  }

  /** Subscribes for the cards as they are now, and to every tag the board knows, one by one: so it sees near misses. */
  update(cards: readonly Card[], tags: Iterable<string>): void {
    this.#cards = cards;
    for (const [id, card] of this.#subscribed) {
      const now = cards.find((each) => each.id === id);
      if (now && key(now.tags) === key(card.tags)) continue;
      this.#wire.unwant(`card ${id}`);
      this.#subscribed.delete(id);
    }
    for (const card of cards) {
      if (card.tags.length === 0 || this.#subscribed.has(card.id)) continue;
      this.#subscribed.set(card.id, card);
      this.#wire.want(`card ${card.id}`, card.tags, (message) => this.#arrive(message, card.id));
    }
    const watched = new Set([...new Set(tags)].slice(0, watchedTags));
    for (const tag of this.#watched) if (!watched.has(tag)) this.#wire.unwant(`tag ${tag}`);
    for (const tag of watched) {
      if (!this.#watched.has(tag)) this.#wire.want(`tag ${tag}`, [tag], (message) => this.#arrive(message));
    }
    this.#watched = watched;
  }

  /** Publishes a message. */
  publish(tags: readonly string[], text: string, origin: Origin): Entry {
    const entry = this.#make(normal(tags), text, origin);
    this.#onTheWay = this.#onTheWay.filter((each) => Date.now() - each.at.getTime() < onTheWayMs);
    if (entry.tags.some((tag) => this.#watched.has(tag)) || entry.cards.some((card) => !missing(card.tags, tags).length)) {
      this.#onTheWay.push(entry);
    }
    this.#wire.publish(entry.tags, text).catch((error: unknown) => {
      this.#onTheWay = this.#onTheWay.filter((each) => each !== entry);
      entry.error = reasonOf(error);
      this.#events.refused(entry);
    });
    this.#events.appeared(entry);
    return entry;
  }

  #arrive(message: Message, cardId?: string): void {
    let entry = this.#entries.get(message);
    if (!entry) {
      entry = this.#claim(message) ?? this.#fromElsewhere(message);
      this.#entries.set(message, entry);
    }
    const card = entry.cards.find((each) => each.id === cardId);
    if (!card || entry.got.has(card.id)) return;
    entry.got.add(card.id);
    this.#events.delivered(entry, card);
  }

  /** Finds the own message that this is: they arrive in the order they were published. */
  #claim(message: Message): Entry | undefined {
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
    const cards = this.#cards.filter((card) => card.tags.length > 0);
    return { id: this.#count, at: new Date(), tags, text, origin, cards, got: new Set() };
  }
}
