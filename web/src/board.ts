/** Owns the subscribers: how they are shown, edited and lit. It does not decide what one gets: a broker does. */

import { Chips } from "./chips.js";
import { byId, h, icon, iconButton, wantsStillness } from "./dom.js";
import { fly, ground, pulse, type Leg } from "./flight.js";
import { NameTag } from "./name-tag.js";
import { rove } from "./roving.js";
import { most, type Subscriber } from "./model.js";
import { change, changeSubscriber, freshId, initial, state } from "./state.js";
import { missing } from "./tags.js";
import type { Entry } from "./traffic.js";

interface View {
  subscriber: Subscriber;
  readonly element: HTMLElement;
  readonly name: NameTag;
  readonly chips: Chips;
  readonly copy: HTMLButtonElement;
  readonly remove: HTMLButtonElement;
  readonly count: HTMLElement;
  readonly last: HTMLElement;
  readonly outcome: HTMLElement;
  readonly refusal: HTMLElement;
  matches: number;
  /** The message that is being shown, and whether all of its tags have landed. */
  entry?: Entry;
  landed: boolean;
  timer: number;
}

interface Options {
  readonly copyAs: (subscriber: Subscriber) => void;
  readonly announce: (text: string) => void;
  /** Says something to eyes and ears. */
  readonly tell: (text: string) => void;
  readonly removed: (text: string, place: HTMLElement, undo: () => void) => void;
}

/** A message that is to be shown with the next picture. */
interface Show {
  readonly entry: Entry;
  readonly from: (tag: string) => Element;
  readonly slowly: number;
}

const mostShownPerSecond = 8;
const countEveryMs = 100;
/** Within so much time what the broker refuses one subscriber and what it refuses the next is told as one. */
const refusedWithinMs = 150;

/** The subscribers in the middle. */
export class Board {
  readonly #grid = byId("subscribers");
  readonly #views = new Map<string, View>();
  /** What the next picture shows; when the last messages were shown; and whose figures are old. */
  #next: Show[] = [];
  #shown: number[] = [];
  readonly #stale = new Map<View, Entry>();
  #flooded = false;
  /** Those that were refused something a moment ago. */
  readonly #refused = new Set<View>();
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    byId("add-subscriber").addEventListener("click", () => this.#add());
    byId("empty-add-subscriber").addEventListener("click", () => this.#add());
    byId("reset-subscribers").addEventListener("click", () => {
      this.#grid.replaceChildren();
      change({ subscribers: initial.subscribers });
    });
    byId("add-subscriber").prepend(icon("plus"));
  }

  /** Shows these subscribers. */
  update(subscribers: readonly Subscriber[]): void {
    for (const [id, view] of this.#views) {
      if (subscribers.some((subscriber) => subscriber.id === id)) continue;
      clearTimeout(view.timer);
      view.element.remove();
      this.#views.delete(id);
    }
    let at = this.#grid.firstElementChild;
    for (const subscriber of subscribers) {
      const view = this.#views.get(subscriber.id) ?? this.#make(subscriber);
      this.#fill(view, subscriber);
      // What says that one was removed stays where it is.
      while (at?.matches(".gone")) at = at.nextElementSibling;
      if (at === view.element) at = at.nextElementSibling;
      else this.#grid.insertBefore(view.element, at);
    }
    byId("no-subscribers").hidden = subscribers.length > 0;
    byId("subscriber-count").textContent = String(subscribers.length);
    byId<HTMLButtonElement>("add-subscriber").disabled = subscribers.length >= most.subscribers;
  }

  /** Marks those that a message would reach which is not published yet. */
  preview(subscribers: readonly Subscriber[]): void {
    for (const view of this.#views.values()) {
      view.element.dataset.preview = String(subscribers.some(({ id }) => id === view.subscriber.id));
    }
  }

  /** Whether more messages come than can be followed: then they are counted, and nothing moves. */
  flood(flooded: boolean): void {
    if (flooded === this.#flooded) return;
    this.#flooded = flooded;
    this.#grid.dataset.flooded = String(flooded);
    this.rest();
  }

  /** Lets nothing shine and nothing fly: there is no broker, or no eye could follow. */
  rest(): void {
    this.#next = [];
    for (const view of this.#views.values()) this.#rest(view);
    ground();
  }

  /** The broker does not give a subscriber what it asks for, and why; for no reason, it may. */
  bar(id: string, why: string): void {
    const view = this.#views.get(id);
    if (!view) return;
    view.element.dataset.barred = String(why !== "");
    // What is wrong comes last, and in front of what to do about it.
    const short = why.split(" - ").at(-1)?.split("; ")[0] ?? "";
    view.refusal.textContent = why && `Refused: ${short}.`;
    view.refusal.title = why;
    if (!why) {
      this.#refused.delete(view);
      return;
    }
    this.#rest(view);
    if (this.#refused.size === 0) setTimeout(() => this.#tellRefused(short), refusedWithinMs);
    this.#refused.add(view);
  }

  #tellRefused(why: string): void {
    const names = [...this.#refused].map(({ subscriber }) => subscriber.name);
    this.#refused.clear();
    if (names.length === 0) return;
    const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
    this.#options.tell(`Refused ${shown.length > 1 ? `${shown.slice(0, -1).join(", ")} and ` : ""}${shown.at(-1)}: ${why}.`);
  }

  /**
   * Lets a message's tags travel to the chips that wait for them, `slowly` so many times as slow. `from` finds where a
   * tag sets out. Of many messages only some are shown: more could not be seen, and would take the time to count them.
   */
  show(entry: Entry, from: (tag: string) => Element, slowly = 1): void {
    const now = performance.now();
    this.#shown = this.#shown.filter((at) => at > now - 1000);
    if (this.#flooded || this.#shown.length >= mostShownPerSecond) return;
    this.#shown.push(now);
    // A hidden tab has no next frame.
    if (document.hidden) return;
    this.#next.push({ entry, from, slowly });
    if (this.#next.length === 1) requestAnimationFrame(() => this.#draw());
  }

  /** The broker delivered a message to a subscriber. */
  deliver(entry: Entry, subscriber: Subscriber): void {
    const view = this.#views.get(subscriber.id);
    if (!view) return;
    view.matches += 1;
    if (view.entry === entry) {
      if (view.landed) this.#match(view, entry);
    } else if (!this.#next.some((each) => each.entry === entry)) this.#count(view, entry);
  }

  /** Puts the lamps out that a message lit which the broker did not take. */
  recall(entry: Entry): void {
    this.#next = this.#next.filter((each) => each.entry !== entry);
    for (const view of this.#views.values()) if (view.entry === entry) this.#rest(view);
  }

  #draw(): void {
    for (const { entry, from, slowly } of this.#next.splice(0)) {
      const legs: Leg[] = [];
      for (const { id, tags } of entry.subscribers) {
        const view = this.#views.get(id);
        const found = tags.filter((tag) => entry.tags.includes(tag));
        if (!view || found.length === 0) continue;
        clearTimeout(view.timer);
        // If this message has arrived already, it counts when its tags have landed.
        this.#rest(view, entry.got.has(id) ? 1 : 0);
        view.entry = entry;
        let left = found.length;
        for (const tag of found) {
          const land = (): void => {
            left -= 1;
            if (view.entry !== entry) return;
            view.chips.light(tag, "lit");
            const chip = view.chips.chip(tag);
            if (chip) pulse(chip, [{ scale: "1" }, { scale: "1.14" }, { scale: "1" }], 260);
            if (left === 0) this.#land(view, entry, slowly);
          };
          legs.push({ tag, from: from(tag), to: view.chips.chip(tag) ?? view.element, land });
        }
      }
      fly(legs, slowly);
    }
  }

  /** Brings a figure up to date, a little later: ten times a second is all that can be read. */
  #count(view: View, entry: Entry): void {
    if (this.#stale.size === 0) {
      setTimeout(() => {
        for (const [each, { text }] of this.#stale) {
          each.count.textContent = each.matches.toLocaleString("en");
          each.last.textContent = text || "(no text)";
        }
        this.#stale.clear();
      }, countEveryMs);
    }
    this.#stale.set(view, entry);
  }

  #land(view: View, entry: Entry, slowly: number): void {
    view.landed = true;
    const lacks = missing(view.subscriber.tags, entry.tags);
    if (entry.got.has(view.subscriber.id)) this.#match(view, entry, slowly);
    else if (lacks.length > 0) {
      for (const tag of lacks) view.chips.light(tag, "missing");
      view.element.dataset.outcome = "near";
      view.outcome.textContent = `without ${lacks.join(", ")}`;
      this.#restLater(view, 1900 * slowly);
    } else this.#restLater(view, 6000);
  }

  #match(view: View, entry: Entry, slowly = 1): void {
    this.#stale.delete(view);
    view.element.dataset.outcome = "match";
    view.count.textContent = view.matches.toLocaleString("en");
    view.last.textContent = entry.text || "(no text)";
    view.outcome.textContent = "";
    pulse(view.count, [{ translate: "0 -0.5em", opacity: 0 }, { translate: "0 0", opacity: 1 }], 320);
    pulse(view.element, [{ scale: "1" }, { scale: "1.02" }, { scale: "1" }], 420);
    if (!wantsStillness() && !document.hidden) this.#ring(view);
    this.#restLater(view, 1500 * slowly);
  }

  /** A ring that widens from the subscriber, once. */
  #ring(view: View): void {
    const ring = h("span", { class: "ring" });
    view.element.append(ring);
    const frames = [
      { opacity: 0.9, scale: "1" },
      { opacity: 0, scale: "1.1 1.2" },
    ];
    const widening = ring.animate(frames, { duration: 750, easing: "cubic-bezier(.15,.7,.3,1)", fill: "forwards" });
    const done = (): void => ring.remove();
    widening.finished.then(done, done);
  }

  #restLater(view: View, ms: number): void {
    clearTimeout(view.timer);
    view.timer = window.setTimeout(() => this.#rest(view), ms);
  }

  #rest(view: View, notYet = 0): void {
    delete view.entry;
    view.landed = false;
    view.chips.dark();
    delete view.element.dataset.outcome;
    view.outcome.textContent = "";
    view.count.textContent = (view.matches - notYet).toLocaleString("en");
  }

  #add(): void {
    const subscriber: Subscriber = { id: freshId(), name: "New subscriber", tags: [] };
    change({ subscribers: [...state().subscribers, subscriber] });
    const view = this.#views.get(subscriber.id);
    view?.element.scrollIntoView({ block: "nearest", behavior: wantsStillness() ? "auto" : "smooth" });
    view?.chips.add();
    this.#options.announce("Subscriber added. Type its tags.");
  }

  #remove(id: string): void {
    const subscribers = state().subscribers;
    const at = subscribers.findIndex((subscriber) => subscriber.id === id);
    const [subscriber, view] = [subscribers[at], this.#views.get(id)];
    if (!subscriber || !view) return;
    const place = h("div", { class: "gone" });
    view.element.before(place);
    change({ subscribers: subscribers.filter((each) => each.id !== id) });
    this.#options.removed(`Removed “${subscriber.name}”.`, place, () => {
      const now = state().subscribers;
      change({ subscribers: [...now.slice(0, at), subscriber, ...now.slice(at)] });
      this.#views.get(id)?.remove.focus();
    });
  }

  #fill(view: View, subscriber: Subscriber): void {
    view.subscriber = subscriber;
    view.name.set(subscriber.name);
    view.chips.rename(subscriber.name);
    view.chips.set(subscriber.tags);
    view.element.setAttribute("aria-label", subscriber.name);
    view.copy.setAttribute("aria-label", `Copy ${subscriber.name} as a command or code`);
    view.remove.setAttribute("aria-label", `Remove ${subscriber.name}`);
    view.element.dataset.silent = String(subscriber.tags.length === 0);
  }

  #make(subscriber: Subscriber): View {
    const id = subscriber.id;
    const name = new NameTag((name) => changeSubscriber(id, { name }));
    const count = h("span", { class: "count-figure" }, "0");
    const last = h("span", { class: "last" });
    const outcome = h("span", { class: "outcome" });
    const refusal = h("p", { class: "refusal" });
    const remove = iconButton("remove", "Remove", () => this.#remove(id));
    remove.classList.add("subscriber-remove");
    const copy = iconButton("code", "Copy as a command or code", () => this.#options.copyAs(view.subscriber));
    let refocus = (): void => {};
    const chips = new Chips({
      label: subscriber.name,
      invite: "add a tag to subscribe",
      changed: (tags) => changeSubscriber(id, { tags }),
      drawn: () => refocus(),
    });
    const element = h(
      "div",
      { class: "subscriber", aria: { role: "group", describedby: "group-hint" } },
      h("header", {}, name.element, h("p", { class: "count", title: "Messages it got" }, count, h("span", { class: "sr" }, " messages"))),
      chips.element,
      refusal,
      h("footer", {}, h("p", { class: "said" }, last, outcome), copy, remove),
    );
    const view: View = { subscriber, element, name, chips, copy, remove, count, last, outcome, refusal, matches: 0, landed: false, timer: 0 };
    refocus = rove(element, "button:not(.chip-remove)");
    this.#views.set(id, view);
    return view;
  }
}
