/** Owns the row of chips that shows a set of tags and lets one edit it. It does not know whose tags they are. */

import { h, icon } from "./dom.js";
import { most } from "./model.js";
import { typed } from "./tags.js";

/** How a chip is lit. */
export type Lamp = "" | "lit" | "missing";

interface Options {
  /** Whose tags they are, for screen readers. */
  readonly label: string;
  /** What the button says that adds one, when there are none yet. */
  readonly invite?: string;
  /** Told of the tags after a change by the visitor. */
  readonly changed: (tags: string[]) => void;
  /** Told that there are other buttons than before. */
  readonly drawn: () => void;
}

/** A row of chips. Press one to edit it; Delete takes it away. Whoever shows it says how the focus moves. */
export class Chips {
  readonly element: HTMLUListElement;
  #tags: readonly string[] = [];
  readonly #options: Options;
  readonly #chips = new Map<string, HTMLButtonElement>();
  readonly #adder: HTMLButtonElement;
  #label: string;
  /** Ends an edit without a word: what is edited is there no more. */
  #forget: (() => void) | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#label = options.label;
    this.element = h("ul", { class: "chips", aria: { role: "list" } });
    this.#adder = h("button", { type: "button", class: "chip chip-add", on: { click: () => this.#edit(undefined) } });
    this.#adder.append(icon("plus"));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.#draw();
  }

  /** Shows these tags. */
  set(tags: readonly string[]): void {
    if (tags.length === this.#tags.length && tags.every((tag, index) => tag === this.#tags[index])) return;
    this.#tags = tags;
    this.#draw();
  }

  /** Whose tags they are, when that has changed. */
  rename(label: string): void {
    if (label === this.#label) return;
    this.#label = label;
    this.#name();
  }

  /** The chip of a tag. */
  chip(tag: string): HTMLButtonElement | undefined {
    return this.#chips.get(tag);
  }

  /** Lights one chip. */
  light(tag: string, lamp: Lamp): void {
    const chip = this.#chips.get(tag);
    if (!chip) return;
    if (lamp) chip.dataset.lamp = lamp;
    else delete chip.dataset.lamp;
  }

  /** Puts all lamps out. */
  dark(): void {
    for (const tag of this.#tags) this.light(tag, "");
  }

  /** Lets the visitor type a new tag. */
  add(): void {
    this.#edit(undefined);
  }

  #draw(): void {
    this.#forget?.();
    this.#chips.clear();
    const items = this.#tags.map((tag) => {
      const chip = h("button", { type: "button", class: "chip", title: `${tag}: press to edit, Delete removes` }, tag);
      chip.setAttribute("aria-keyshortcuts", "Delete");
      chip.addEventListener("click", () => this.#edit(tag));
      this.#chips.set(tag, chip);
      return h("li", {}, chip);
    });
    const invite = this.#options.invite;
    const empty = this.#tags.length === 0 && invite;
    this.#adder.replaceChildren(icon("plus"), empty ? h("span", {}, invite) : "");
    this.#adder.title = "Add a tag";
    this.element.replaceChildren(...items, h("li", { class: "chip-add-item" }, this.#adder));
    this.#name();
    this.#options.drawn();
  }

  /** Each button says whose tag it is: heard alone, "late" could be anybody's. */
  #name(): void {
    this.element.setAttribute("aria-label", `Tags of ${this.#label}`);
    for (const [tag, chip] of this.#chips) chip.setAttribute("aria-label", `${tag}, tag of ${this.#label}: edit`);
    const invite = this.#tags.length === 0 && this.#options.invite;
    this.#adder.setAttribute("aria-label", invite ? `${invite}: ${this.#label}` : `Add a tag to ${this.#label}`);
  }

  #edit(tag: string | undefined): void {
    const input = h("input", {
      class: "chip chip-input",
      value: tag ?? "",
      maxLength: most.tagLength,
      autocomplete: "off",
      spellcheck: false,
      enterKeyHint: "done",
      size: Math.max(6, (tag ?? "").length + 1),
    });
    input.setAttribute("autocapitalize", "off");
    input.setAttribute("aria-label", tag === undefined ? "New tag" : `Edit the tag ${tag}; empty removes it`);
    const place = tag === undefined ? this.#adder.parentElement : this.#chips.get(tag)?.parentElement;
    if (!place) return;
    const remove = h("button", { type: "button", class: "chip-remove", title: `Remove ${tag}`, tabIndex: -1 });
    remove.setAttribute("aria-label", `Remove ${tag}`);
    remove.append(icon("remove"));
    const item = h("li", { class: "chip-editing" }, input, tag === undefined ? null : remove);
    place.replaceWith(item);
    input.addEventListener("input", () => (input.size = Math.max(6, input.value.length + 1)));
    input.focus();
    input.select();

    let over = false;
    this.#forget = () => (over = true);
    const finish = (text: string | undefined, then: "on" | "back" | "leave"): void => {
      if (over) return;
      over = true;
      const at = tag === undefined ? this.#tags.length : this.#tags.indexOf(tag);
      const fresh = text === undefined ? (tag === undefined ? [] : [tag]) : typed(text);
      const others = this.#tags.filter((each) => each !== tag);
      const tags = [...others.slice(0, at), ...fresh.filter((each) => !others.includes(each)), ...others.slice(at)];
      const changed = tags.join("\n") !== this.#tags.join("\n");
      this.#tags = tags.slice(0, most.tags);
      this.#draw();
      if (changed) this.#options.changed([...this.#tags]);
      const last = fresh.at(-1);
      if (then === "on" && tag === undefined && last !== undefined) this.#edit(undefined);
      else if (then !== "leave") (this.#chips.get(last ?? "") ?? this.#adder).focus();
    };
    // Before the field loses the focus, and the edit with it.
    remove.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      finish("", "back");
    });
    remove.addEventListener("click", () => finish("", "back"));
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.isComposing) return;
      if (event.key === "Enter" || event.key === ",") {
        event.preventDefault();
        finish(input.value, event.key === "," || input.value.trim() !== "" ? "on" : "back");
      } else if (event.key === "Escape") {
        event.preventDefault();
        finish(undefined, "back");
      } else if (event.key === "Backspace" && input.value === "" && tag === undefined && this.#tags.length > 0) {
        event.preventDefault();
        finish("", "leave");
        this.#edit(this.#tags.at(-1));
      }
    });
    input.addEventListener("blur", () => finish(input.value, "leave"));
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Delete" && event.key !== "Backspace") return;
    const at = [...this.#chips.values()].findIndex((chip) => chip === event.target);
    if (at < 0) return;
    event.preventDefault();
    this.#tags = this.#tags.filter((_, index) => index !== at);
    this.#draw();
    ([...this.#chips.values()][at] ?? this.#adder).focus();
    this.#options.changed([...this.#tags]);
  }
}
