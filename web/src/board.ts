/** Owns the cards: how they are shown, edited and lit. It does not decide what a card gets: a broker does. */

import { Chips } from "./chips.js";
import { byId, h, icon, iconButton, wantsStillness } from "./dom.js";
import { fly, pulse, type Leg } from "./flight.js";
import { most, type Card } from "./model.js";
import { change, changeCard, freshId, initial, state } from "./state.js";
import { missing } from "./tags.js";
import type { Entry } from "./traffic.js";

interface View {
  card: Card;
  readonly element: HTMLElement;
  readonly name: HTMLInputElement;
  readonly chips: Chips;
  readonly count: HTMLElement;
  readonly last: HTMLElement;
  readonly outcome: HTMLElement;
  matches: number;
  /** The message that is being shown, and whether all of its tags have landed. */
  entry?: Entry;
  landed: boolean;
  timer: number;
}

interface Options {
  readonly copyAs: (card: Card) => void;
  readonly announce: (text: string) => void;
  readonly removed: (text: string, undo: () => void) => void;
}

const mostShownPerSecond = 12;

/** The cards in the middle. */
export class Board {
  readonly #grid = byId("cards");
  readonly #views = new Map<string, View>();
  /** When the last messages were shown, and the cards whose figure is old. */
  #shown: number[] = [];
  readonly #stale = new Set<View>();
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    byId("add-card").addEventListener("click", () => this.#add());
    byId("empty-add-card").addEventListener("click", () => this.#add());
    byId("reset-cards").addEventListener("click", () => change({ cards: initial.cards }));
  }

  /** Shows these cards. */
  update(cards: readonly Card[]): void {
    for (const [id, view] of this.#views) {
      if (cards.some((card) => card.id === id)) continue;
      clearTimeout(view.timer);
      view.element.remove();
      this.#views.delete(id);
    }
    cards.forEach((card, index) => {
      const view = this.#views.get(card.id) ?? this.#make(card);
      view.card = card;
      if (view.name.value !== card.name) view.name.value = card.name;
      view.chips.rename(card.name || "a card");
      view.chips.set(card.tags);
      view.element.dataset.silent = String(card.tags.length === 0);
      if (this.#grid.children[index] !== view.element) this.#grid.insertBefore(view.element, this.#grid.children[index] ?? null);
    });
    byId("no-cards").hidden = cards.length > 0;
    byId("card-count").textContent = String(cards.length);
    byId<HTMLButtonElement>("add-card").disabled = cards.length >= most.cards;
  }

  /**
   * Lets a message's tags travel to the chips that wait for them. `from` finds where a tag sets out. Of a flood only
   * some are shown: more could not be seen, and would take the time to count them.
   */
  show(entry: Entry, from: (tag: string) => Element): void {
    const now = performance.now();
    this.#shown = this.#shown.filter((at) => at > now - 1000);
    if (this.#shown.length >= mostShownPerSecond) return;
    this.#shown.push(now);
    const legs: Leg[] = [];
    for (const { id, tags } of entry.cards) {
      const view = this.#views.get(id);
      const found = tags.filter((tag) => entry.tags.includes(tag));
      if (!view || found.length === 0) continue;
      clearTimeout(view.timer);
      this.#rest(view);
      view.entry = entry;
      let left = found.length;
      for (const tag of found) {
        const land = (): void => {
          left -= 1;
          if (view.entry !== entry) return;
          view.chips.light(tag, "lit");
          const chip = view.chips.chip(tag);
          if (chip) pulse(chip, [{ scale: "1" }, { scale: "1.14" }, { scale: "1" }], 260);
          if (left === 0) this.#land(view, entry);
        };
        legs.push({ tag, from: from(tag), to: view.chips.chip(tag) ?? view.element, land });
      }
    }
    fly(legs);
  }

  /** The broker delivered a message to a card. */
  deliver(entry: Entry, card: Card): void {
    const view = this.#views.get(card.id);
    if (!view) return;
    view.matches += 1;
    if (view.entry !== entry) this.#count(view);
    else if (view.landed) this.#match(view, entry);
  }

  /** Brings a card's figure up to date, with the next picture. */
  #count(view: View): void {
    if (this.#stale.size === 0) {
      requestAnimationFrame(() => {
        for (const each of this.#stale) each.count.textContent = String(each.matches);
        this.#stale.clear();
      });
    }
    this.#stale.add(view);
  }

  /** Puts the lamps out that a message lit which the broker did not take. */
  recall(entry: Entry): void {
    for (const view of this.#views.values()) if (view.entry === entry) this.#rest(view);
  }

  #land(view: View, entry: Entry): void {
    view.landed = true;
    const lacks = missing(view.card.tags, entry.tags);
    if (entry.got.has(view.card.id)) this.#match(view, entry);
    else if (lacks.length > 0) {
      for (const tag of lacks) view.chips.light(tag, "missing");
      view.element.dataset.outcome = "near";
      view.outcome.textContent = `without ${lacks.join(", ")}`;
      this.#restLater(view, 1900);
    } else this.#restLater(view, 6000);
  }

  #match(view: View, entry: Entry): void {
    view.element.dataset.outcome = "match";
    view.count.textContent = String(view.matches);
    view.last.textContent = entry.text || "(no text)";
    view.outcome.textContent = "";
    pulse(view.count, [{ translate: "0 -0.5em", opacity: 0 }, { translate: "0 0", opacity: 1 }], 320);
    pulse(view.element, [{ scale: "1" }, { scale: "1.02" }, { scale: "1" }], 420);
    if (!wantsStillness() && !document.hidden) this.#ring(view);
    this.#restLater(view, 1500);
  }

  /** A ring that widens from the card, once. */
  #ring(view: View): void {
    const ring = h("span", { class: "ring" });
    view.element.append(ring);
    const { offsetWidth: width, offsetHeight: height } = view.element;
    const frames = [
      { opacity: 0.9, scale: "1" },
      { opacity: 0, scale: `${1 + 32 / width} ${1 + 32 / height}` },
    ];
    const widening = ring.animate(frames, { duration: 750, easing: "cubic-bezier(.15,.7,.3,1)", fill: "forwards" });
    const done = (): void => ring.remove();
    widening.finished.then(done, done);
  }

  #restLater(view: View, ms: number): void {
    clearTimeout(view.timer);
    view.timer = window.setTimeout(() => this.#rest(view), ms);
  }

  #rest(view: View): void {
    delete view.entry;
    view.landed = false;
    view.chips.dark();
    delete view.element.dataset.outcome;
    view.outcome.textContent = "";
    view.count.textContent = String(view.matches);
  }

  #add(): void {
    const card: Card = { id: freshId(), name: "New subscriber", tags: [] };
    change({ cards: [...state().cards, card] });
    const view = this.#views.get(card.id);
    view?.element.scrollIntoView({ block: "nearest", behavior: wantsStillness() ? "auto" : "smooth" });
    view?.chips.add();
    this.#options.announce("Card added. Type its tags.");
  }

  #remove(id: string): void {
    const cards = state().cards;
    const at = cards.findIndex((card) => card.id === id);
    const card = cards[at];
    if (!card) return;
    change({ cards: cards.filter((each) => each.id !== id) });
    const next = state().cards[at] ?? state().cards[at - 1];
    const nextView = next && this.#views.get(next.id);
    (nextView?.element.querySelector<HTMLElement>(".card-remove") ?? byId("empty-add-card")).focus();
    this.#options.removed(`Removed “${card.name}”.`, () => {
      const now = state().cards;
      change({ cards: [...now.slice(0, at), card, ...now.slice(at)] });
    });
  }

  #make(card: Card): View {
    const id = card.id;
    const name = h("input", { class: "name", value: card.name, maxLength: most.nameLength, spellcheck: false, autocomplete: "off" });
    name.setAttribute("aria-label", "Name of this subscriber");
    name.addEventListener("change", () => changeCard(id, { name: name.value.trim() || "Unnamed" }));
    name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
    const chips = new Chips({
      label: card.name,
      invite: "add a tag to subscribe",
      changed: (tags) => changeCard(id, { tags }),
    });
    const count = h("span", { class: "count-figure" }, "0");
    const last = h("span", { class: "last" });
    const outcome = h("span", { class: "outcome" });
    const remove = iconButton("remove", "Remove this card", () => this.#remove(id));
    remove.classList.add("card-remove");
    const copy = iconButton("code", "Copy as a command or code", () => this.#options.copyAs(view.card));
    const element = h(
      "article",
      { class: "card" },
      h("header", {}, name, h("p", { class: "count", title: "Messages it got" }, count, h("span", { class: "sr" }, " messages"))),
      chips.element,
      h("footer", {}, h("p", { class: "said" }, last, outcome), copy, remove),
    );
    const view: View = { card, element, name, chips, count, last, outcome, matches: 0, landed: false, timer: 0 };
    this.#views.set(id, view);
    return view;
  }
}

/** Draws the three chips that explain the board in its first line. */
export function drawLegend(): void {
  const chip = (tag: string, lamp: string): HTMLElement => h("span", { class: "chip", data: lamp ? { lamp } : {} }, tag);
  const line = (lamp: string, text: string): HTMLElement =>
    h("li", {}, h("span", { class: "legend-chips" }, chip("bus", "lit"), chip("late", lamp)), h("span", {}, text));
  byId("legend").append(line("lit", "every tag is on the message: it gets it"), line("missing", "one is missing: a near miss"));
  byId("add-card").prepend(icon("plus"));
}
