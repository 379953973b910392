/** Owns what a board is made of, and how much of it there may be. */

/** A subscriber: a set of tags with a name. */
export interface Subscriber {
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
}

/** A publisher: what it says, and with which tags. */
export interface Publisher {
  readonly id: string;
  readonly name: string;
  /** The tags on each of its messages. */
  readonly tags: readonly string[];
  /** Tags on every third of its messages. */
  readonly sometimes: readonly string[];
  /** What it says: one line per message, in turn. */
  readonly text: string;
  /** Seconds between two messages. */
  readonly every: number;
  readonly on: boolean;
}

/** What the load generator is to do. */
export interface Load {
  /** Messages a second; infinite for as many as possible. */
  readonly rate: number;
  readonly subscriptions: number;
  /** Tags on each message. */
  readonly tags: number;
}

/** Everything a link to the page can say. */
export interface State {
  readonly subscribers: readonly Subscriber[];
  readonly publishers: readonly Publisher[];
  /** The tags of the message that is about to be published by hand. */
  readonly tags: readonly string[];
  readonly mode: "page" | "server";
  /** The address of another server; empty for the one this page is from. */
  readonly server: string;
  readonly load: Load;
}

/** The most of each that a board takes. */
export const most = { subscribers: 60, publishers: 24, tags: 16, tagLength: 120, nameLength: 60, textLength: 2000 } as const;
