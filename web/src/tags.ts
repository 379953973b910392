/** Owns what the page says about sets of tags. It knows no broker: whether a message arrives, a broker decides. */

/** The tags as mist writes them: sorted bytewise, without duplicates. */
export function normal(tags: readonly string[]): string[] {
  return [...new Set(tags)].sort();
}

/** The tags of a set that a message lacks. The set matches when there are none. */
export function missing(set: readonly string[], message: readonly string[]): string[] {
  return set.filter((tag) => !message.includes(tag));
}

/** Reads tags as people type them: split at commas, trimmed, without empty ones and duplicates. */
export function typed(text: string): string[] {
  return [...new Set(text.split(",").map((tag) => tag.trim()))].filter((tag) => tag !== "");
}

/** A text by which two sets of tags are the same set. */
export function key(tags: readonly string[]): string {
  return JSON.stringify(normal(tags));
}
