/** Owns who listens to a client's events. */

import { afterwards, call } from "./dispatch.js";
import { MistError } from "./error.js";
import type { ClientEvents, ListenOptions } from "./types.js";

const NAMES: ReadonlySet<keyof ClientEvents> = new Set(["state", "open", "close", "dropped", "error"]);

type Listener = (event: never, nothing: never) => unknown;
type Told = [keyof ClientEvents, unknown];

export class Events {
  #listeners = new Map<keyof ClientEvents, Set<Listener>>();

  on(type: keyof ClientEvents, listener: Listener, options: ListenOptions = {}): () => void {
    const { signal, once } = options;
    if (!NAMES.has(type)) {
      throw new MistError("invalid-argument", `there is no event "${String(type)}": only ${[...NAMES].join(", ")}`);
    }
    if (typeof listener !== "function") {
      throw new MistError("invalid-argument", `a listener is a function, not ${typeof listener}`);
    }
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    const off = (): void => {
      listeners.delete(called);
      signal?.removeEventListener("abort", off);
    };
    const called: Listener = (event, nothing) => {
      if (once) off();
      return listener(event, nothing);
    };
    if (!signal?.aborted) {
      listeners.add(called);
      signal?.addEventListener("abort", off, { once: true });
    }
    return off;
  }

  /** Tells the listeners soon. */
  emit<K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void {
    afterwards<Told>(this.#tell, [type, event]);
  }

  readonly #tell = ([type, event]: Told): void => {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) call(listener, event as never, undefined as never);
  };
}
