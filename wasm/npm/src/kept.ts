/** Owns the publishes that wait for the next connection. Knows nothing of connections. */

import { MistError } from "./error.js";

interface Publish {
  readonly keptAt: number;
  readonly text: string;
  readonly bytes: number;
  /** The request that waits for its acknowledgement. */
  readonly request: number | undefined;
}

export class Kept {
  #most: number;
  #mostBytes: number;
  #age: number;
  #publishes: Publish[] = [];
  #bytes = 0;

  /** So many and so many bytes at most, for so many milliseconds; a negative number keeps none. */
  constructor(most: number, mostBytes: number, age: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
    this.#age = age;
  }

  /**
   * Keeps a message.
   * @throws MistError `offline`, `buffer-full`.
   */
  push(keptAt: number, text: string, request: number | undefined): void {
    if (this.#most < 0) throw offline("publish");
    const bytes = new TextEncoder().encode(text).length;
    const { length } = this.#publishes;
    if (length >= this.#most || this.#bytes + bytes > this.#mostBytes) {
      throw new MistError(
        "buffer-full",
        `offline, and the buffer is full with ${length} publishes of ${this.#bytes} bytes: publish less, or allow more`,
      );
    }
    this.#publishes.push({ keptAt, text, bytes, request });
    this.#bytes += bytes;
  }

  /** When the oldest has waited too long. */
  get due(): number | undefined {
    const [oldest] = this.#publishes;
    return oldest && oldest.keptAt + this.#age;
  }

  /** Takes out those that have waited too long. */
  takeOld(now: number): Publish[] {
    const fresh = this.#publishes.findIndex(({ keptAt }) => keptAt + this.#age > now);
    const old = this.#publishes.splice(0, fresh < 0 ? Infinity : fresh);
    for (const { bytes } of old) this.#bytes -= bytes;
    return old;
  }

  takeAll(): Publish[] {
    this.#bytes = 0;
    return this.#publishes.splice(0);
  }
}

export function offline(command: string): MistError {
  return new MistError(
    "offline",
    `cannot ${command} while offline: wait until the client is open, or use the option offline`,
  );
}
