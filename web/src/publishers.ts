/** Owns the publishers: how they are shown and edited. It does not know who gets what they say. */

import { Chips } from "./chips.js";
import { byId, h, icon, iconButton } from "./dom.js";
import { pulse } from "./flight.js";
import { rove } from "./roving.js";
import { most, type Publisher } from "./model.js";
import { change, changePublisher, freshId, initial, state } from "./state.js";

interface View {
  publisher: Publisher;
  readonly element: HTMLElement;
  readonly speak: HTMLButtonElement;
  readonly name: HTMLElement;
  readonly editor: HTMLButtonElement;
  readonly remover: HTMLButtonElement;
  readonly said: HTMLElement;
  readonly toggle: HTMLButtonElement;
  readonly tags: Chips;
  readonly sometimes: Chips;
  readonly edit: HTMLElement;
  readonly fields: { name: HTMLInputElement; text: HTMLTextAreaElement; every: HTMLInputElement };
}

interface Options {
  /** Lets a publisher speak now. */
  readonly speak: (publisher: Publisher) => void;
  readonly removed: (text: string, place: HTMLElement, undo: () => void) => void;
}

/** The publishers on the left. */
export class Publishers {
  readonly #list = byId("publishers");
  readonly #views = new Map<string, View>();
  readonly #options: Options;
  #expanded = false;

  constructor(options: Options) {
    this.#options = options;
    byId("add-publisher").addEventListener("click", () => this.#add());
    byId("edit-publishers").addEventListener("click", () => this.#expand(!this.#expanded));
    byId("all-publishers").addEventListener("click", () => {
      const on = !state().publishers.some((publisher) => publisher.on);
      change({ publishers: state().publishers.map((publisher) => ({ ...publisher, on })) });
    });
    byId("reset-publishers").addEventListener("click", () => change({ publishers: initial.publishers }));
  }

  /** Shows these publishers. */
  update(publishers: readonly Publisher[]): void {
    for (const [id, view] of this.#views) {
      if (publishers.some((publisher) => publisher.id === id)) continue;
      view.element.remove();
      this.#views.delete(id);
    }
    let at = this.#list.firstElementChild;
    for (const publisher of publishers) {
      const view = this.#views.get(publisher.id) ?? this.#make(publisher);
      this.#fill(view, publisher);
      // What says that one was removed stays where it is.
      while (at?.matches(".gone")) at = at.nextElementSibling;
      if (at === view.element) at = at.nextElementSibling;
      else this.#list.insertBefore(view.element, at);
    }
    const some = publishers.some((publisher) => publisher.on);
    const all = byId<HTMLButtonElement>("all-publishers");
    all.replaceChildren(icon(some ? "pause" : "play"), some ? "Stop all" : "Start all");
    all.hidden = publishers.length === 0;
    byId("no-publishers").hidden = publishers.length > 0;
    byId<HTMLButtonElement>("add-publisher").disabled = publishers.length >= most.publishers;
  }

  /** A publisher speaks: its row shows it. */
  speaks(id: string, text: string): void {
    const view = this.#views.get(id);
    if (!view) return;
    view.said.textContent = text;
    pulse(view.speak, [{ scale: "1" }, { scale: "1.08" }, { scale: "1" }], 360);
    pulse(view.said, [{ opacity: 0, translate: "-4px 0" }, { opacity: 1, translate: "0 0" }], 300);
  }

  /** Where a publisher's tag sets out: its chip, or else its name. */
  source(id: string, tag: string): Element | undefined {
    const view = this.#views.get(id);
    const chip = view?.tags.chip(tag) ?? view?.sometimes.chip(tag);
    return chip && chip.offsetParent ? chip : view?.speak;
  }

  /** In a narrow window only the names are shown, until the visitor wants more. */
  #expand(expanded: boolean): void {
    this.#expanded = expanded;
    this.#list.dataset.expanded = String(expanded);
    byId("edit-publishers").setAttribute("aria-expanded", String(expanded));
    byId("edit-publishers").textContent = expanded ? "Done" : "Edit";
  }

  #add(): void {
    const publisher: Publisher = {
      id: freshId(),
      name: "New publisher",
      tags: ["bus"],
      sometimes: [],
      text: "Somewhere in town",
      every: 6,
      on: true,
    };
    change({ publishers: [...state().publishers, publisher] });
    const view = this.#views.get(publisher.id);
    if (!view) return;
    this.#expand(true);
    this.#open(view, true);
    view.fields.name.focus();
    view.fields.name.select();
  }

  #remove(id: string): void {
    const at = state().publishers.findIndex((each) => each.id === id);
    const [publisher, view] = [state().publishers[at], this.#views.get(id)];
    if (!publisher || !view) return;
    const place = h("li", { class: "gone" });
    view.element.before(place);
    change({ publishers: state().publishers.filter((each) => each.id !== id) });
    this.#options.removed(`Removed “${publisher.name}”.`, place, () => {
      const now = state().publishers;
      change({ publishers: [...now.slice(0, at), publisher, ...now.slice(at)] });
      this.#views.get(id)?.speak.focus();
    });
  }

  #open(view: View, open: boolean): void {
    view.edit.hidden = !open;
    view.element.dataset.open = String(open);
    view.element.querySelector(".publisher-edit")?.setAttribute("aria-expanded", String(open));
  }

  #fill(view: View, publisher: Publisher): void {
    view.publisher = publisher;
    view.name.textContent = publisher.name;
    view.speak.title = `${publisher.name}: publish a message now`;
    view.speak.setAttribute("aria-label", `${publisher.name}: publish a message now`);
    view.editor.setAttribute("aria-label", `Edit ${publisher.name}`);
    view.remover.textContent = `Remove ${publisher.name}`;
    view.element.setAttribute("aria-label", publisher.name);
    view.element.dataset.on = String(publisher.on);
    view.toggle.replaceChildren(icon(publisher.on ? "pause" : "play"));
    view.toggle.title = publisher.on ? "Stop" : "Start";
    view.toggle.setAttribute("aria-label", `${publisher.on ? "Stop" : "Start"} ${publisher.name}`);
    view.tags.rename(publisher.name);
    view.tags.set(publisher.tags);
    view.sometimes.rename(`${publisher.name}, on every third message`);
    view.sometimes.set(publisher.sometimes);
    view.element.dataset.sometimes = String(publisher.sometimes.length > 0);
    if (view.fields.name.value !== publisher.name) view.fields.name.value = publisher.name;
    if (view.fields.text.value !== publisher.text) view.fields.text.value = publisher.text;
    if (view.fields.every.value !== String(publisher.every)) view.fields.every.value = String(publisher.every);
  }

  #make(publisher: Publisher): View {
    const id = publisher.id;
    const name = h("span", { class: "publisher-name" });
    const speak = h("button", { type: "button", class: "speak" }, icon("send"), name);
    speak.addEventListener("click", () => this.#options.speak(view.publisher));
    const said = h("span", { class: "publisher-said" });
    const toggle = iconButton("pause", "", () => changePublisher(id, { on: !view.publisher.on }));
    const editor = iconButton("edit", "Edit", () => this.#open(view, view.element.dataset.open !== "true"));
    editor.classList.add("publisher-edit");
    editor.setAttribute("aria-expanded", "false");
    let refocus = (): void => {};
    const drawn = (): void => refocus();
    const tags = new Chips({
      label: publisher.name,
      invite: "add a tag",
      changed: (list) => changePublisher(id, { tags: list }),
      drawn,
    });
    const sometimes = new Chips({
      label: `${publisher.name}, on every third message`,
      changed: (list) => changePublisher(id, { sometimes: list }),
      drawn,
    });
    sometimes.element.classList.add("sometimes");
    sometimes.element.title = "On every third message";
    const fields = {
      name: h("input", { class: "field", maxLength: most.nameLength, autocomplete: "off" }),
      text: h("textarea", { class: "field", rows: 3, maxLength: most.textLength, spellcheck: false }),
      every: h("input", { class: "field", type: "number", min: "1", max: "60", step: "1", inputMode: "numeric" }),
    };
    fields.name.addEventListener("change", () => changePublisher(id, { name: fields.name.value.trim() || "Unnamed" }));
    fields.text.addEventListener("change", () => changePublisher(id, { text: fields.text.value }));
    fields.every.addEventListener("change", () => {
      const every = Math.min(60, Math.max(1, Number(fields.every.value) || 6));
      fields.every.value = String(every);
      changePublisher(id, { every });
    });
    const remover = h("button", { type: "button", class: "quiet", on: { click: () => this.#remove(id) } });
    const edit = h(
      "div",
      { class: "publisher-fields", hidden: true },
      h("label", {}, "Name", fields.name),
      h("label", {}, "Says, one line per message", fields.text),
      h("label", { class: "short" }, "Seconds between two messages", fields.every),
      remover,
    );
    const element = h(
      "li",
      { class: "publisher", data: { open: "false" } },
      h("div", { class: "publisher-head" }, speak, said),
      h("div", { class: "publisher-tools" }, editor, toggle),
      h("div", { class: "publisher-tags" }, tags.element, sometimes.element),
      edit,
    );
    const view: View = { publisher, element, speak, name, editor, remover, said, toggle, tags, sometimes, edit, fields };
    refocus = rove(element, "button:not(.chip-remove, .publisher-fields *)");
    this.#views.set(id, view);
    return view;
  }
}
