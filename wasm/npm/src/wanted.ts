/**
 * Owns which tag sets a client wants, by whom, and which of them its broker holds. Knows nothing of requests' deadlines.
 */

import { sorted } from "./message.js";

/** A tag set that was not asked for on this connection. */
export const NOWHERE = 0;
/** A tag set that the broker has acknowledged. */
export const LIVE = -1;

/** A tag set that is wanted. */
export interface Wanted {
  readonly tags: readonly string[];
  /** The numbers of its subscriptions, and the request that waits for the acknowledgement of each, or 0. */
  readonly locals: Map<number, number>;
  /** {@link NOWHERE}, {@link LIVE}, or the number under which it was asked for. */
  onWire: number;
  readonly place: number;
  /** The one of its tags by which it is found. */
  readonly key: string;
}

/** What is known of an array of tags that messages carry. */
interface Known {
  readonly tags: readonly string[];
  readonly matches: readonly number[];
}

/** How many arrays of tags are remembered with their matches; past it the memory starts anew. */
const REMEMBERED = 1024;

export class WantedSets {
  /** In the order in which they are restored: a set takes the place of the last one that was given up. */
  #places: (Wanted | undefined)[] = [];
  #free: number[] = [];
  /** By all of their tags. */
  #exact = new Map<string, Wanted>();
  /** By the one of their tags that the fewest others had then. */
  #byTag = new Map<string, Set<Wanted>>();
  #byLocal = new Map<number, Wanted>();
  #last = 0;
  #known = new Map<string, Known>();

  /** Adds a subscription to sorted tags, and returns its number. */
  add(tags: readonly string[]): number {
    const wanted = this.find(tags) ?? this.#addSet(tags);
    wanted.locals.set((this.#last += 1), 0);
    this.#byLocal.set(this.#last, wanted);
    this.#known.clear();
    return this.#last;
  }

  #addSet(tags: readonly string[]): Wanted {
    const size = (tag: string): number => this.#byTag.get(tag)?.size ?? 0;
    const key = tags.reduce((best, tag) => (size(tag) < size(best) ? tag : best));
    const place = this.#free.pop() ?? this.#places.length;
    const wanted: Wanted = { tags, locals: new Map(), onWire: NOWHERE, place, key };
    this.#places[place] = wanted;
    this.#exact.set(JSON.stringify(tags), wanted);
    this.#byTag.set(key, (this.#byTag.get(key) ?? new Set()).add(wanted));
    return wanted;
  }

  /** The set of a subscription, unless that is gone. */
  of(local: number): Wanted | undefined {
    return this.#byLocal.get(local);
  }

  /** The set of exactly these tags, which are sorted. */
  find(tags: readonly string[]): Wanted | undefined {
    return this.#exact.get(JSON.stringify(tags));
  }

  /** Removes a subscription, with its set when that has no other. Returns the set if the broker has to be told. */
  remove(local: number): Wanted | undefined {
    const wanted = this.of(local);
    if (!wanted) return undefined;
    this.#byLocal.delete(local);
    this.#known.clear();
    wanted.locals.delete(local);
    if (wanted.locals.size > 0) return undefined;
    const isOnWire = wanted.onWire !== NOWHERE;
    this.removeSet(wanted);
    return isOnWire ? wanted : undefined;
  }

  /** Removes a set with all its subscriptions. */
  removeSet(wanted: Wanted): void {
    const { key, locals, place, tags } = wanted;
    for (const local of locals.keys()) this.#byLocal.delete(local);
    this.#known.clear();
    wanted.onWire = NOWHERE;
    this.#places[place] = undefined;
    this.#free.push(place);
    this.#exact.delete(JSON.stringify(tags));
    const others = this.#byTag.get(key);
    others?.delete(wanted);
    if (others?.size === 0) this.#byTag.delete(key);
  }

  /** All sets, in their order. */
  all(): Wanted[] {
    return this.#places.filter((wanted) => wanted !== undefined);
  }

  /** Forgets what the last connection's broker held. */
  connectionLost(): void {
    for (const wanted of this.#exact.values()) wanted.onWire = NOWHERE;
  }

  /** The tags of a message, sorted, and the numbers of the subscriptions that match, in the order they were made. */
  match(tags: readonly string[]): Known {
    const text = JSON.stringify(tags);
    let known = this.#known.get(text);
    if (!known) {
      known = this.#look(sorted(tags));
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      this.#known.set(text, known);
    }
    return known;
  }

  #look(tags: readonly string[]): Known {
    const there = new Set(tags);
    const matches: number[] = [];
    for (const tag of tags) {
      for (const wanted of this.#byTag.get(tag) ?? []) {
        if (!wanted.tags.every((tag) => there.has(tag))) continue;
        for (const local of wanted.locals.keys()) matches.push(local);
      }
    }
    return { tags, matches: matches.sort((one, other) => one - other) };
  }
}
