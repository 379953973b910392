/** Owns how fast messages come, and whether eyes can follow. It does not know what is shown of them. */

/** Messages a second above which nobody could follow, and below which it is calm again. */
const busyAbove = 20;
const calmBelow = 10;
const windowMs = 250;
const windows = 4;

/** Counts messages. `changed` hears whether there are too many to follow, and then regularly how many a second. */
export class Pace {
  /** How many there were in each of the last windows, the present one first. */
  #counts: number[] = [0];
  #timer = 0;
  #busy = false;
  readonly #changed: (busy: boolean, perSecond: number) => void;

  constructor(changed: (busy: boolean, perSecond: number) => void) {
    this.#changed = changed;
  }

  /** Whether there are more than eyes can follow. */
  get busy(): boolean {
    return this.#busy;
  }

  /** One more message. */
  beat(): void {
    this.#counts[0] = (this.#counts[0] ?? 0) + 1;
    if (!this.#timer) this.#timer = window.setInterval(() => this.#tick(), windowMs);
    if (!this.#busy && this.#perSecond() > busyAbove) this.#become(true);
  }

  #tick(): void {
    const perSecond = this.#perSecond();
    if (this.#busy) this.#become(perSecond >= calmBelow);
    this.#counts = [0, ...this.#counts].slice(0, windows);
    if (perSecond > 0) return;
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #perSecond(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0) * (1000 / (windowMs * windows));
  }

  #become(busy: boolean): void {
    this.#busy = busy;
    this.#changed(busy, this.#perSecond());
  }
}
