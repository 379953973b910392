/** Owns what the page says in passing, to the eyes and to screen readers. It does not know why. */

import { byId, h } from "./dom.js";

const shownMs = 7000;

/** One note at a time, at the lower edge; and a live region that is kept short. */
export class Notices {
  readonly #live = byId("live");
  readonly #note = byId("note");
  #timer = 0;

  /** Says something to screen readers only. */
  announce(text: string): void {
    this.#live.textContent = text;
  }

  /** Shows something, and says it. */
  tell(text: string): void {
    this.announce(text);
    this.#note.textContent = text;
    this.#note.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => (this.#note.hidden = true), shownMs);
  }

  /**
   * Says what was removed, in the very place where it was, so that nothing is covered; and lets it be undone there.
   * `place` is an element with nothing in it, which leaves when the time is over.
   */
  undo(text: string, place: HTMLElement, act: () => void): void {
    this.announce(`${text} Undo is here.`);
    const button = h("button", { type: "button", class: "quiet" }, "Undo");
    button.addEventListener("click", () => {
      clearTimeout(timer);
      place.remove();
      act();
    });
    place.append(h("span", {}, text), button);
    button.focus({ preventScroll: true });
    // It does not go away under a hand that reaches for it.
    const leave = (): void => {
      if (!place.isConnected) return;
      if (place.matches(":hover, :has(:focus-visible)")) timer = window.setTimeout(leave, 1000);
      else place.remove();
    };
    let timer = window.setTimeout(leave, shownMs);
  }
}
