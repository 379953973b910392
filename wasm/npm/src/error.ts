/** What goes wrong, as applications see it. */

import type { Code } from "./types.js";

/** Any failure of this package: `code` is for programs, the message says what to do. */
export class MistError extends Error {
  // Neither is lost when names are shortened, and the stack begins with it.
  static override readonly name = "MistError";
  declare readonly name: "MistError";
  readonly code: Code;
  /** What the broker calls it, where the broker said no: the `code` of its answer, such as `not-granted`. */
  readonly serverCode: string | undefined;

  static {
    Object.assign(this.prototype, { name: this.name });
  }

  constructor(code: Code, message: string, options?: { cause?: unknown }, serverCode?: string) {
    super(message, options);
    this.code = code;
    this.serverCode = serverCode || undefined;
  }
}

/**
 * Thrown by the function that gives the token: there will be none, for whoever has signed out. The client closes instead of
 * asking again.
 */
export class UnauthorizedError extends Error {
  static {
    Object.assign(this.prototype, { name: "UnauthorizedError" });
  }
}

/** The text of whatever was thrown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Tells of an error that is the application's own, without stopping anything. */
export function report(error: unknown): void {
  if (typeof reportError === "function") {
    reportError(error);
  } else {
    // Node has no reportError; an uncaught error has the same effect.
    queueMicrotask(() => {
      throw error;
    });
  }
}
