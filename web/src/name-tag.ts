/** Owns a name that can be edited: a button, and a field while it is edited. It does not know whose name it is. */

import { h } from "./dom.js";
import { most } from "./model.js";

/** The name. */
export class NameTag {
  readonly element: HTMLElement;
  readonly #button: HTMLButtonElement;
  readonly #changed: (name: string) => void;

  constructor(changed: (name: string) => void) {
    this.#changed = changed;
    this.#button = h("button", { type: "button", class: "name", on: { click: () => this.#edit() } });
    this.element = h("h3", {}, this.#button);
  }

  /** Shows this name. */
  set(name: string): void {
    if (this.#button.textContent === name) return;
    this.#button.textContent = name;
    this.#button.title = `${name}: press to rename`;
  }

  #edit(): void {
    const before = this.#button.textContent ?? "";
    const field = h("input", { class: "name", value: before, maxLength: most.nameLength, spellcheck: false, autocomplete: "off" });
    field.setAttribute("aria-label", `New name of ${before}`);
    let over = false;
    const finish = (name: string, isBack: boolean): void => {
      if (over) return;
      over = true;
      field.replaceWith(this.#button);
      if (isBack) this.#button.focus();
      if (name !== before) this.#changed(name.trim() || "Unnamed");
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // The button that comes back must not be pressed by the same key.
      event.preventDefault();
      finish(event.key === "Enter" ? field.value : before, true);
    });
    field.addEventListener("blur", () => finish(field.value, false));
    this.#button.replaceWith(field);
    field.focus();
    field.select();
  }
}
