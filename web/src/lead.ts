/** Owns which of several tabs lets the publishers speak: the others follow. It knows neither publishers nor brokers. */

import { byId } from "./dom.js";

/** The lead, of which there is one for each broker and browser. */
export class Lead {
  readonly #note = byId("following");
  readonly #leads: (leading: boolean) => void;
  #place: string | undefined;
  #leave: AbortController | undefined;

  constructor(leads: (leading: boolean) => void) {
    this.#leads = leads;
    byId("take-over").addEventListener("click", () => this.#place !== undefined && this.#ask(this.#place, true));
  }

  /** Asks for the lead at a broker, and gives up the one before; without a broker it only gives up. */
  takeAt(place: string | undefined): void {
    if (place === this.#place) return;
    this.#place = place;
    this.#leave?.abort();
    this.#note.hidden = true;
    this.#leads(false);
    if (place !== undefined) this.#ask(place, false);
  }

  #ask(place: string, steal: boolean): void {
    // Without locks each tab is alone: it leads.
    if (!navigator.locks) return this.#leads(true);
    this.#leave?.abort();
    const leave = new AbortController();
    this.#leave = leave;
    const hold = async (): Promise<void> => {
      if (leave.signal.aborted) return;
      this.#note.hidden = true;
      this.#leads(true);
      await new Promise((resolve) => leave.signal.addEventListener("abort", resolve));
    };
    const name = `mist-board:${place}`;
    const first = async (lock: Lock | null): Promise<boolean> => {
      if (lock) await hold();
      return lock !== null;
    };
    const follow = async (): Promise<void> => {
      if (leave.signal.aborted) return;
      this.#note.hidden = false;
      await navigator.locks.request(name, { signal: leave.signal }, hold);
    };
    navigator.locks
      .request(name, steal ? { steal } : { ifAvailable: true }, first)
      .then((held) => (held ? undefined : follow()))
      .catch(() => this.#robbed(place, leave));
  }

  /** Another tab has taken the lead, unless this one gave it up: then this one waits for it. */
  #robbed(place: string, leave: AbortController): void {
    if (leave.signal.aborted || this.#leave !== leave) return;
    this.#leads(false);
    this.#ask(place, false);
  }
}
