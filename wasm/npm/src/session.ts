/** Owns what a page's broker knows of one client of it. Knows nothing of what clients are told. */

import type { TagSet } from "./sets.js";

/** The value of a message that goes over the wire as text. */
export interface Carried {
  readonly data: unknown;
}

/** A message on its way from a client of this page, and its value, which does not go over the wire. */
export interface Sent {
  readonly text: string;
  readonly carried: Carried | undefined;
}

/** How a client is reached. */
export interface Peer {
  /** Whether it is in this page, and finds its subscriptions itself. */
  readonly isPage: boolean;
  post(text: string): void;
  /** Tells it that its connection is lost. */
  lose(reason: string): void;
}

export class Session {
  readonly peer: Peer;
  /** Its number at the core, once there is one. */
  number = -1;
  /** What it has sent while it waits: for the core, or for a command's answer. */
  waiting: Sent[] | undefined;
  /** How many characters those are. */
  ahead = 0;
  /** Whether a message of it was taken. */
  hasSpoken = false;
  /** What it holds, as long as there is no core that knows. */
  readonly held = new Set<TagSet>();
  /** What that weighs, in bytes. */
  weight = 0;

  constructor(peer: Peer) {
    this.peer = peer;
  }

  /** Takes out what it has sent meanwhile. */
  go(): Sent[] {
    const sent = this.waiting ?? [];
    this.waiting = undefined;
    this.ahead = 0;
    return sent;
  }
}
