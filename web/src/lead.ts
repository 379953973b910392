/** Owns which of several tabs lets the vehicles speak: the others follow. It knows neither vehicles nor brokers. */

import { byId } from "./dom.js";

/** The seat of the driver, of which there is one for each broker and browser. */
export class DriverSeat {
  readonly #note = byId("following");
  readonly #drives: (driving: boolean) => void;
  #place: string | undefined;
  #leave: AbortController | undefined;

  constructor(drives: (driving: boolean) => void) {
    this.#drives = drives;
    byId("take-over").addEventListener("click", () => this.#place !== undefined && this.#ask(this.#place, true));
  }

  /** Asks for the seat at a broker, and leaves the one before; without a broker it only leaves. */
  sitAt(place: string | undefined): void {
    if (place === this.#place) return;
    this.#place = place;
    this.#leave?.abort();
    this.#note.hidden = true;
    this.#drives(false);
    if (place !== undefined) this.#ask(place, false);
  }

  #ask(place: string, steal: boolean): void {
    // Without locks each tab is alone: it drives.
    if (!navigator.locks) return this.#drives(true);
    this.#leave?.abort();
    const leave = new AbortController();
    this.#leave = leave;
    const sit = async (): Promise<void> => {
      if (leave.signal.aborted) return;
      this.#note.hidden = true;
      this.#drives(true);
      await new Promise((resolve) => leave.signal.addEventListener("abort", resolve));
    };
    const name = `mist-board:${place}`;
    const first = async (lock: Lock | null): Promise<boolean> => {
      if (lock) await sit();
      return lock !== null;
    };
    const follow = async (): Promise<void> => {
      if (leave.signal.aborted) return;
      this.#note.hidden = false;
      await navigator.locks.request(name, { signal: leave.signal }, sit);
    };
    navigator.locks
      .request(name, steal ? { steal } : { ifAvailable: true }, first)
      .then((sat) => (sat ? undefined : follow()))
      .catch(() => this.#robbed(place, leave));
  }

  /** Another tab has taken the seat, unless this one left it: then this one waits for it. */
  #robbed(place: string, leave: AbortController): void {
    if (leave.signal.aborted || this.#leave !== leave) return;
    this.#drives(false);
    this.#ask(place, false);
  }
}
