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
    this.#show(text);
  }

  /** Shows something together with what can be done about it. */
  offer(text: string, label: string, act: () => void): void {
    const button = h("button", { type: "button", class: "quiet" }, label);
    button.addEventListener("click", () => {
      this.#hide();
      act();
    });
    this.#show(text, button);
  }

  #show(text: string, ...more: Node[]): void {
    this.announce(text);
    this.#note.replaceChildren(h("span", {}, text), ...more);
    this.#note.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#later(), shownMs);
  }

  /** It does not go away under a hand that reaches for it. */
  #later(): void {
    if (this.#note.matches(":hover, :focus-within")) this.#timer = window.setTimeout(() => this.#later(), 1000);
    else this.#hide();
  }

  #hide(): void {
    this.#note.hidden = true;
  }
}
