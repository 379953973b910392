/** Messages, and the forms of their data. Knows nothing of how they come or go. */

import { MistError, textOf } from "./error.js";
import type { Message, Outgoing, TagLike } from "./types.js";

/** The name of a tag. */
export function nameOf(tag: TagLike): string {
  const name = typeof tag === "string" ? tag : tag?.name;
  if (typeof name !== "string") {
    throw new MistError("invalid-argument", `a tag is a string or a handle from tag(), not ${typeof tag}: ${show(tag)}`);
  }
  return wellFormed(name);
}

/** The text as it can stand on a wire: half a surrogate pair is no character. */
export function wellFormed(text: string & { toWellFormed?(): string }): string {
  return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** The names of some tags, in the order given; `use` says what they are for. */
export function namesOf(tags: readonly TagLike[] | undefined, use: string): string[] {
  const names = listOf(tags).map(nameOf);
  if (names.length === 0) throw new MistError("missing-tags", `cannot ${use} without tags: name at least one`);
  return names;
}

/** The tags, if they are an array. */
export function listOf(tags: readonly TagLike[] | undefined): readonly TagLike[] {
  if (Array.isArray(tags)) return tags;
  throw new MistError("invalid-argument", `tags are given as an array, such as ["a", "b"], not as ${show(tags)}`);
}

/** The same tags sorted as everywhere in mist, by their bytes in UTF-8, and without duplicates. */
export function sorted(names: readonly string[]): readonly string[] {
  if (names.length < 2) return names;
  return [...new Set(names)].sort(compare);
}

/** Compares as UTF-8 does. UTF-16 differs where surrogates, which stand for what is higher, meet U+E000 and above. */
function compare(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at++) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) return rank(one) - rank(other);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

/** The data as it goes over a wire. */
export function textOfData(data: unknown): string {
  if (typeof data === "string") return wellFormed(data);
  if (data === undefined) return "";
  let text: string | undefined;
  if (!isBinary(data)) {
    try {
      text = JSON.stringify(data);
    } catch (error) {
      throw new MistError("invalid-data", `data that is not a string goes as JSON: ${textOf(error)}`, { cause: error });
    }
  }
  if (text === undefined) {
    throw new MistError(
      "invalid-data",
      `data that is not a string goes as JSON, and ${show(data)} has no JSON: encode it first, say in base64`,
    );
  }
  return text;
}

function isBinary(data: unknown): boolean {
  return data instanceof ArrayBuffer || ArrayBuffer.isView(data) || data instanceof Map || data instanceof Set;
}

/** The data by value: what the publisher does with it afterwards is its own affair. */
export function copyOf(data: unknown): unknown {
  if (typeof data === "string") return wellFormed(data);
  if (typeof data !== "object" && typeof data !== "function" && typeof data !== "symbol") return data;
  try {
    return structuredClone(data);
  } catch (error) {
    throw new MistError("invalid-data", `data must be a string or a value that can be cloned: ${textOf(error)}`, {
      cause: error,
    });
  }
}

function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : Object.prototype.toString.call(value);
}

/** A message as subscriptions get it. */
export class Delivered implements Message {
  readonly data: unknown;
  #tags: readonly TagLike[];
  #isSorted: boolean;

  /** `isSorted` says that the tags are names, sorted and without duplicates; otherwise that waits until it matters. */
  constructor(tags: readonly TagLike[], data: unknown, isSorted: boolean) {
    this.#tags = tags;
    this.#isSorted = isSorted;
    this.data = data;
  }

  get tags(): readonly string[] {
    if (!this.#isSorted) {
      this.#tags = sorted(this.#tags.map(nameOf));
      this.#isSorted = true;
    }
    return this.#tags as readonly string[];
  }

  get text(): string {
    return textOfData(this.data);
  }

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as JSON.parse has it.
  json(): any {
    if (typeof this.data !== "string") return this.data;
    try {
      return JSON.parse(this.data);
    } catch (error) {
      throw new MistError("invalid-data", `the message's data is not JSON: ${textOf(error)}`, { cause: error });
    }
  }

  toJSON(): Outgoing {
    return { tags: this.tags, data: this.data };
  }
}
