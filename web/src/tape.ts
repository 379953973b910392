/** Owns the tape: the last messages, newest first, and why each card got them or not. It keeps nothing else. */

import { byId, h, icon, iconButton } from "./dom.js";
import { pulse } from "./flight.js";
import { explain, type Entry, type Verdict } from "./traffic.js";

interface Row {
  readonly entry: Entry;
  readonly element: HTMLLIElement;
  readonly details: HTMLDetailsElement;
  readonly score: HTMLElement;
}

interface Options {
  readonly copyAs: (entry: Entry) => void;
  readonly again: (entry: Entry) => void;
  /** Who a message is from, in words. */
  readonly nameOf: (entry: Entry) => string;
}

const mostRows = 60;
/** A tape that moves more often cannot be read, and would only cost. */
const drawEveryMs = 120;

/** The messages on the right. While one is open, newer ones wait, so that nothing moves under the reader's eyes. */
export class Tape {
  readonly #list = byId<HTMLOListElement>("tape");
  readonly #held = byId<HTMLButtonElement>("tape-held");
  #rows: Row[] = [];
  #waiting: Entry[] = [];
  readonly #fresh = new Set<Row>();
  #timer = 0;
  #drawn = 0;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    this.#held.addEventListener("click", () => {
      for (const row of this.#rows) row.details.open = false;
      this.#release();
      this.#list.querySelector("summary")?.focus();
    });
    byId("clear-tape").addEventListener("click", () => {
      this.#rows = [];
      this.#waiting = [];
      this.#list.replaceChildren();
      this.#refresh();
    });
    this.#refresh();
  }

  /** Puts a message on the tape. */
  add(entry: Entry): void {
    this.#waiting = [entry, ...this.#waiting].slice(0, mostRows);
    this.#later();
  }

  /** Something about a message has changed: one more card got it, or the broker refused it. */
  touch(entry: Entry): void {
    const row = this.#rows.find((each) => each.entry === entry);
    if (!row) return;
    this.#fresh.add(row);
    this.#later();
  }

  /** Eight cards that get a message are one change, not eight; so are a hundred messages in one moment. */
  #later(): void {
    if (this.#timer) return;
    const wait = Math.max(0, this.#drawn + drawEveryMs - performance.now());
    this.#timer = window.setTimeout(() => {
      this.#timer = 0;
      this.#drawn = performance.now();
      for (const row of this.#fresh) this.#fill(row);
      this.#fresh.clear();
      if (this.#rows.some((row) => row.details.open)) this.#refresh();
      else this.#release();
    }, wait);
  }

  #release(): void {
    const rows = this.#waiting.map((entry) => this.#make(entry));
    this.#waiting = [];
    this.#list.prepend(...rows.map((row) => row.element));
    if (this.#list.scrollTop === 0 && rows.length === 1) {
      const height = rows[0]?.element.offsetHeight ?? 0;
      pulse(this.#list, [{ translate: `0 ${-height}px` }, { translate: "0 0" }], 260);
    }
    this.#rows = [...rows, ...this.#rows];
    for (const row of this.#rows.splice(mostRows)) row.element.remove();
    this.#refresh();
  }

  #refresh(): void {
    byId("no-messages").hidden = this.#rows.length > 0;
    byId("clear-tape").hidden = this.#rows.length === 0;
    this.#held.hidden = this.#waiting.length === 0;
    this.#held.textContent = `${this.#waiting.length} newer ${this.#waiting.length === 1 ? "message" : "messages"}`;
  }

  #make(entry: Entry): Row {
    const score = h("span", { class: "score" });
    const time = h("time", { dateTime: entry.at.toISOString() }, clock(entry.at));
    const summary = h(
      "summary",
      {},
      h("span", { class: "row-top" }, h("span", { class: "row-text" }, entry.text || "(no text)"), time),
      h("span", { class: "row-tags" }, ...entry.tags.map((tag) => h("span", { class: "chip chip-small" }, tag))),
      score,
    );
    const details = h("details", {}, summary);
    const row: Row = { entry, element: h("li", { class: "row" }, details), details, score };
    details.addEventListener("toggle", () => {
      if (details.open) {
        for (const other of this.#rows) if (other !== row) other.details.open = false;
        details.append(this.#explanation(row));
      } else {
        details.querySelector(".why")?.remove();
        if (!this.#rows.some((other) => other.details.open)) this.#release();
      }
    });
    this.#fill(row);
    return row;
  }

  #fill(row: Row): void {
    const { entry, score } = row;
    row.element.dataset.result = entry.error ? "refused" : entry.got.size > 0 ? "some" : "none";
    if (entry.error) score.replaceChildren(`Not published: ${entry.error}.`);
    else {
      const others = entry.got.size < entry.cards.length;
      score.replaceChildren(
        "delivered to ",
        h("b", {}, String(entry.got.size)),
        ` of ${entry.cards.length}${others ? ": " : ""}`,
        others ? h("span", { class: "why-not" }, "why not the others?") : "",
      );
    }
    const why = row.details.querySelector(".why");
    if (row.details.open && why) why.replaceWith(this.#explanation(row));
  }

  #explanation({ entry }: Row): HTMLElement {
    const verdicts = explain(entry).sort((a, b) => rank(a) - rank(b));
    const again = iconButton("again", "Publish it again", () => this.#options.again(entry));
    const copy = iconButton("code", "Copy as a command or code", () => this.#options.copyAs(entry));
    return h(
      "div",
      { class: "why" },
      h("p", { class: "why-head" }, h("span", {}, `from ${this.#options.nameOf(entry)}`), again, copy),
      entry.cards.length === 0 ? h("p", { class: "hint" }, "There were no cards.") : null,
      h("ul", {}, ...verdicts.map((each) => verdictLine(each))),
    );
  }
}

function verdictLine({ card, got, missing }: Verdict): HTMLElement {
  const chips = card.tags.map((tag) => {
    const lacks = missing.includes(tag);
    const chip = h("span", { class: "chip chip-small", data: { lamp: lacks ? "missing" : "lit" } }, tag);
    if (lacks) chip.prepend(h("span", { class: "sr" }, "missing: "));
    return chip;
  });
  const mark = h("span", { class: "mark", data: { got: String(got) } }, icon(got ? "check" : "remove"));
  mark.append(h("span", { class: "sr" }, got ? "got it" : "did not get it"));
  const late = !got && missing.length === 0 ? h("span", { class: "hint" }, "matches, and nothing has arrived") : null;
  return h("li", {}, mark, h("span", { class: "why-name" }, card.name), h("span", { class: "why-chips" }, ...chips), late);
}

/** Those that got it first, then those that came closest. */
function rank(verdict: Verdict): number {
  return verdict.got ? -1 : verdict.missing.length / Math.max(1, verdict.card.tags.length);
}

function clock(at: Date): string {
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
