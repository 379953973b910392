/** What lies between a client and its broker: one attempt to connect after the other. Knows nothing of either. */

import { MistError } from "./error.js";
import type { LocalSubscription } from "./subscription.js";
import type { PortLike, Tag, TagLike, TokenSource } from "./types.js";

/** What the core's client needs of a socket. */
export interface Socket {
  send(text: string): void;
}

/** A short way to a broker in the same page, past the wire. */
export interface Lane {
  /** Publishes; `false` when the message must go over the wire. */
  publish(tags: readonly TagLike[], data: unknown): boolean;
  /**
   * Refuses a message that the broker would hang up for.
   * @throws MistError `too-large`.
   */
  check(command: string, tags: readonly string[], data: string, hasId: boolean): void;
  /** Keeps the value of what goes over the wire meanwhile, so that it arrives as it is. */
  carry<T>(data: unknown, publish: () => T): T;
  /** The handle for a tag. */
  tag(name: string): Tag;
  /** Takes messages for a subscription that the broker holds. */
  add(subscription: LocalSubscription): void;
  /** Takes no more messages for a subscription. */
  remove(subscription: LocalSubscription): void;
}

/** What goes over a port last: most engines do not tell the one side that the other has closed it. */
export const GOODBYE = null;

/** Closes a port; `onClose` was to hear of its end. */
export function leave(port: PortLike, onClose: () => void): void {
  port.onmessage = null;
  port.removeEventListener?.("close", onClose);
  port.postMessage(GOODBYE);
  port.close();
}

/** What a link tells its client about one attempt. Nothing is told after `lost`, nor after the attempt was given up. */
export interface Attempt {
  open(socket: Socket, lane?: Lane): void;
  receive(text: string): void;
  lost(reason: string, code?: number): void;
}

/** A way to a broker. */
export interface Link {
  /** Where the token of each attempt comes from. */
  readonly token: TokenSource | undefined;
  /**
   * Begins an attempt to connect. The function returned gives the connection up, and returns when the other side knows,
   * where that can be told.
   */
  dial(attempt: Attempt): () => Promise<void> | void;
  /** Calls `probe` whenever the connection may have been lost unnoticed; the function returned stops that. */
  watch?(probe: () => void): () => void;
}

/** Checks where tokens are to come from. */
export function checkSource(token: TokenSource | undefined): TokenSource | undefined {
  if (token === undefined || typeof token === "string" || typeof token === "function") return token;
  throw new MistError("invalid-argument", `a token is a string, or a function that returns one, not ${typeof token}`);
}

/** How many milliseconds the other side has to answer a goodbye. */
const PATIENCE = 1000;

/** Waits for what `begin` begins, but not for ever. */
export function patiently(begin: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    begin(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
