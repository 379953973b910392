/**
 * Owns which tag sets are wanted in a page, and finds those that a message contains. Knows nothing of who may do what,
 * nor of how messages come and go.
 */

import type { Receivers } from "./receivers.js";

/** A tag set that somebody in the page holds. */
export class TagSet {
  /** The sessions that hold it, as long as there is no core that knows them. */
  readonly holders = new Set<object>();
  /** The subscriptions that get its messages. */
  receivers: Receivers | undefined;
  readonly key: string;
  readonly numbers: readonly number[];
  /** The number of the tag with which it stands. */
  readonly home: number;
  /** Its place there. */
  place: number;

  constructor(key: string, numbers: readonly number[], home: number, place: number) {
    this.key = key;
    this.numbers = numbers;
    this.home = home;
    this.place = place;
  }
}

/** A tag that is in use. */
interface Tag {
  readonly name: string;
  /** How many sets have it. */
  uses: number;
  /**
   * The sets that stand with it, and of each two more of its tags, or this one again: to look into the sets themselves
   * would cost more than all else.
   */
  readonly sets: TagSet[];
  readonly second: number[];
  readonly third: number[];
}

/** How many tags two more and the one it stands with are; a set of more is looked into. */
const SEEN = 3;

export class TagSets {
  /** How often a tag came into use or went out of it. */
  changes = 0;
  #numbers = new Map<string, number>();
  #tags: Tag[] = [];
  /** The numbers that no tag has. */
  #free: number[] = [];
  /** By all of their tags. */
  #exact = new Map<string, TagSet>();
  /** Of each number whether the message has the tag. */
  #marks = new Uint8Array(64);
  /** The sets found last, and more behind them: an array that shrinks is made anew each time. */
  readonly found: TagSet[] = [];

  /** The number of a tag that is in use; no other can match. Another tag may get it later. */
  number(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** The set of these tags, which are sorted, if there is one. */
  find(tags: readonly string[]): TagSet | undefined {
    return this.#exact.get(JSON.stringify(tags));
  }

  /** The same; if there is none, it is made, and is there until it is let go. */
  hold(tags: readonly string[]): TagSet {
    return this.find(tags) ?? this.#add(tags);
  }

  #add(tags: readonly string[]): TagSet {
    const numbers = tags.map((tag) => this.#use(tag));
    // It stands with the tag that the fewest others have.
    const rare = [...numbers].sort((one, other) => this.#tags[one]!.uses - this.#tags[other]!.uses);
    const [home, second = home, third = home] = rare as [number, ...number[]];
    const at = this.#tags[home]!;
    const set = new TagSet(JSON.stringify(tags), numbers, home, at.sets.length);
    at.sets.push(set);
    at.second.push(second);
    at.third.push(third);
    this.#exact.set(set.key, set);
    return set;
  }

  /** The number of a tag, which is in use now. */
  #use(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#tags.length;
      this.#tags[number] = { name, uses: 0, sets: [], second: [], third: [] };
      this.#numbers.set(name, number);
      this.changes += 1;
      if (number >= this.#marks.length) this.#marks = new Uint8Array(2 * number);
    }
    this.#tags[number]!.uses += 1;
    return number;
  }

  /** Lets a set go, unless somebody is left in it. */
  release(set: TagSet): void {
    if (set.receivers !== undefined || set.holders.size > 0 || !this.#exact.delete(set.key)) return;
    const { sets, second, third } = this.#tags[set.home]!;
    // The last one takes its place.
    const last = sets.length - 1;
    sets[last]!.place = set.place;
    [sets[set.place], second[set.place], third[set.place]] = [sets[last]!, second[last]!, third[last]!];
    sets.length = second.length = third.length = last;
    for (const number of set.numbers) {
      const tag = this.#tags[number]!;
      tag.uses -= 1;
      if (tag.uses > 0) continue;
      this.#numbers.delete(tag.name);
      this.#free.push(number);
      this.changes += 1;
    }
  }

  /** Finds the sets that a message with the tags of so many numbers contains, in no order. Returns how many there are. */
  match(numbers: Uint32Array, count: number): number {
    const marks = this.#marks;
    const { found } = this;
    let matches = 0;
    for (let at = 0; at < count; at++) marks[numbers[at]!] = 1;
    for (let at = 0; at < count; at++) {
      const number = numbers[at]!;
      // A tag that is there twice is looked at once.
      if (marks[number] === 2) continue;
      marks[number] = 2;
      const { sets, second, third } = this.#tags[number]!;
      for (let place = 0; place < second.length; place++) {
        if (marks[second[place]!] === 0 || marks[third[place]!] === 0) continue;
        const set = sets[place]!;
        if (set.numbers.length > SEEN && set.numbers.some((number) => marks[number] === 0)) continue;
        found[matches] = set;
        matches += 1;
      }
    }
    for (let at = 0; at < count; at++) marks[numbers[at]!] = 0;
    return matches;
  }

  /** Forgets all. */
  clear(): void {
    this.#numbers.clear();
    this.#exact.clear();
    this.#tags = [];
    this.#free = [];
    this.found.length = 0;
    this.changes += 1;
  }
}
