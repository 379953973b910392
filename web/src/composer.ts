/** Owns the form to publish by hand, and what it says of the message before and after. It does not know who matches. */

import { Chips } from "./chips.js";
import { byId } from "./dom.js";
import { rove } from "./roving.js";
import type { Subscriber } from "./model.js";
import { change, state } from "./state.js";
import type { Entry } from "./traffic.js";

interface Options {
  /** Publishes, and returns once the outcome is known. */
  readonly publish: (tags: readonly string[], text: string) => Promise<Entry>;
  /** Who would get a message with these tags. */
  readonly matching: (tags: readonly string[]) => Subscriber[];
  /** Whether there is no broker that could take it. */
  readonly isAway: () => boolean;
  /** Shows on the board who would. */
  readonly preview: (subscribers: readonly Subscriber[]) => void;
}

/** The form. */
export class Composer {
  readonly #form = byId<HTMLFormElement>("composer");
  readonly #text = byId<HTMLInputElement>("composer-text");
  readonly #tags: Chips;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    const place = byId("composer-tags");
    let refocus = (): void => {};
    this.#tags = new Chips({
      label: "your message",
      invite: "add a tag",
      changed: (tags) => {
        this.#say("", "");
        change({ tags }, true);
      },
      drawn: () => refocus(),
    });
    place.append(this.#tags.element);
    refocus = rove(place, "button:not(.chip-remove)");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    // While it has the focus, the board marks the receivers.
    this.#form.addEventListener("focusin", () => this.#mark());
    this.#form.addEventListener("focusout", () => this.#mark());
  }

  /** Shows the state: the message's tags, and who would get it. */
  update(): void {
    this.#tags.set(state().tags);
    const { tags } = state();
    const subscribers = state().subscribers.filter((each) => each.tags.length > 0);
    const isAway = this.#options.isAway();
    const matching = this.#options.matching(tags);
    const names = matching.slice(0, 4).map(({ name }) => name);
    if (matching.length > names.length) names.push(`${matching.length - names.length} more`);
    const preview = byId("composer-preview");
    if (isAway) preview.textContent = "It would reach nobody now: there is no connection.";
    else if (tags.length === 0) preview.textContent = "A message needs at least one tag: that is how it finds its readers.";
    else if (matching.length === 0) preview.textContent = "Nobody asks for these tags and no others: it would reach no subscriber.";
    else preview.textContent = `Would reach ${matching.length} of ${subscribers.length}: ${names.join(", ")}.`;
    this.#mark();
  }

  /** Where a message's tag sets out. */
  source(tag: string): Element {
    return this.#tags.chip(tag) ?? this.#form;
  }

  async #send(): Promise<void> {
    const { tags } = state();
    if (tags.length === 0) {
      this.#say("", "Without a tag nobody can get it.");
      this.#tags.add();
      return;
    }
    this.#say("", "");
    this.#text.select();
    const { error, got, subscribers } = await this.#options.publish(tags, this.#text.value);
    if (error) this.#say("", error);
    else this.#say(`Published: ${got.size} of ${subscribers.length} got it.`, "");
  }

  #say(outcome: string, error: string): void {
    byId("composer-outcome").textContent = outcome;
    byId("composer-error").textContent = error;
  }

  #mark(): void {
    const isAtIt = this.#form.contains(document.activeElement);
    this.#options.preview(isAtIt && !this.#options.isAway() ? this.#options.matching(state().tags) : []);
  }
}
