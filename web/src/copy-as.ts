/** Owns the dialog that shows a message or a subscriber as a command or as code. What it says is in `snippets`. */

import { byId, h } from "./dom.js";
import { advice, languages, snippet, type Language, type Wish } from "./snippets.js";

/** The dialog. */
export class CopyAs {
  readonly #dialog = byId<HTMLDialogElement>("copy-as");
  readonly #code = byId("copy-code");
  readonly #copy = byId<HTMLButtonElement>("copy-button");
  readonly #tabs = new Map<Language, HTMLButtonElement>();
  #language: Language = "js";
  #wish: Wish | undefined;

  constructor(announce: (text: string) => void) {
    for (const [language, label] of Object.entries(languages) as [Language, string][]) {
      const tab = h("button", { type: "button", id: `copy-tab-${language}`, class: "tab" }, label);
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", "copy-panel");
      tab.addEventListener("click", () => this.#choose(language));
      this.#tabs.set(language, tab);
    }
    const tabs = byId("copy-tabs");
    tabs.append(...this.#tabs.values());
    tabs.addEventListener("keydown", (event) => this.#arrow(event));
    copyOn(this.#copy, this.#code, announce);
    byId("copy-close").addEventListener("click", () => this.#dialog.close());
    // A press beside the dialog, on what is behind it, closes it.
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  /** Opens it. */
  open(wish: Wish): void {
    this.#wish = wish;
    byId("copy-title").textContent = wish.kind === "message" ? "Publish this message" : `Subscribe as ${wish.name}`;
    this.#choose(this.#language);
    this.#dialog.showModal();
    this.#tabs.get(this.#language)?.focus();
  }

  #choose(language: Language): void {
    this.#language = language;
    for (const [each, tab] of this.#tabs) {
      tab.setAttribute("aria-selected", String(each === language));
      tab.tabIndex = each === language ? 0 : -1;
    }
    byId("copy-panel").setAttribute("aria-labelledby", `copy-tab-${language}`);
    if (this.#wish) {
      this.#code.textContent = snippet(this.#wish, language);
      byId("copy-advice").textContent = advice(this.#wish, language);
    }
    this.#copy.textContent = "Copy";
  }

  #arrow(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...this.#tabs.keys()];
    const next = all[(all.indexOf(this.#language) + step + all.length) % all.length];
    if (!next) return;
    this.#choose(next);
    this.#tabs.get(next)?.focus();
  }
}

/** Lets a button copy what stands in an element. */
export function copyOn(button: HTMLButtonElement, code: HTMLElement, announce: (text: string) => void): void {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent ?? "");
      button.textContent = "Copied";
      announce("Copied.");
    } catch {
      // Not allowed here: the visitor can still take the marked text.
      getSelection()?.selectAllChildren(code);
      button.textContent = "Press Ctrl+C";
    }
  });
}
