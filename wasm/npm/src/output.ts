/** Owns what a client's machine is told to be, and what it tells. Knows nothing of how that comes about. */

import type { MistError } from "./error.js";
import type { Code } from "./types.js";
import type { Answer } from "./wire.js";

/** How a client works; milliseconds, and negative where something is off. */
export interface Settings {
  timeout: number;
  heartbeat: number;
  retryLeast: number;
  retryMost: number;
  offlineMessages: number;
  offlineBytes: number;
  offlineAge: number;
}

/** What a machine wants done, or tells. */
export type Output =
  /** Make a connection: then `open`, `noToken` or `lost`. */
  | ["connect"]
  /** Obtain another token for the connection: then `token` or `noToken`. */
  | ["obtain-token"]
  | ["send", text: string]
  /** Close the connection, and say nothing more about it. */
  | ["disconnect"]
  /** Each request is answered once, by this or the next. */
  | ["answer", request: number, answer: Answer]
  | ["fail", request: number, error: MistError]
  | ["connecting"]
  | ["open", isResumed: boolean]
  | ["waiting", reason: string, retryInMs: number]
  | ["closed", code: Code, reason: string, serverCode: string | undefined]
  | ["token-failed", reason: string, serverCode: string | undefined]
  | ["message", tags: readonly string[], data: string, subscriptions: readonly number[]]
  | ["dropped", count: number]
  | ["revoked", tags: readonly string[], text: string, serverCode: string]
  | ["refused", text: string, serverCode: string]
  | ["discarded", count: number]
  | ["unreadable", text: string];

/** An error as a broker tells it. */
export interface ServerError {
  readonly text: string;
  readonly code: string;
}
