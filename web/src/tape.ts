/** Owns the tape: the last messages, newest first, and why each subscriber got them or not. It keeps nothing else. */

import { byId, h, icon, iconButton, wantsStillness } from "./dom.js";
import { pulse } from "./flight.js";
import { rove } from "./roving.js";
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
/** A tape that moves more often cannot be read, and would only cost; in a flood even less is enough. */
const drawEveryMs = 120;
const floodEveryMs = 500;
const mostInFlood = 6;

/** The messages on the right. While one is open, newer ones wait, so that nothing moves under the reader's eyes. */
export class Tape {
  readonly #list = byId<HTMLOListElement>("tape");
  readonly #held = byId<HTMLButtonElement>("tape-held");
  #rows: Row[] = [];
  /** What has come since the tape was drawn, newest first; and how many before these were too many to keep. */
  #waiting: Entry[] = [];
  #skipped = 0;
  readonly #fresh = new Set<Row>();
  #timer = 0;
  #drawn = 0;
  #flooded = false;
  readonly #refocus: () => void;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    this.#refocus = rove(this.#list, "summary");
    this.#held.addEventListener("click", () => {
      for (const row of this.#rows) row.details.open = false;
      this.#release(mostRows);
      this.#list.querySelector("summary")?.focus();
    });
    byId("clear-tape").addEventListener("click", () => {
      this.#rows = [];
      this.#waiting = [];
      this.#skipped = 0;
      this.#list.replaceChildren();
      this.#refresh();
    });
    byId("ticker").addEventListener("click", () => {
      byId("tape-title").scrollIntoView({ behavior: wantsStillness() ? "auto" : "smooth" });
      this.#list.querySelector("summary")?.focus({ preventScroll: true });
    });
    this.#refresh();
  }

  /** Whether more messages come than can be read: then only some of them are shown. */
  flood(flooded: boolean): void {
    this.#flooded = flooded;
  }

  /** Puts a message on the tape. */
  add(entry: Entry): void {
    this.#waiting.unshift(entry);
    if (this.#waiting.length > mostRows) {
      this.#waiting.pop();
      this.#skipped += 1;
    }
    this.#later();
  }

  /** Something about a message has changed: one more subscriber got it, or the broker refused it. */
  touch(entry: Entry): void {
    const row = this.#rows.find((each) => each.entry === entry);
    if (!row) return;
    this.#fresh.add(row);
    this.#later();
  }

  /** Eight subscribers that get a message are one change, not eight; so are a hundred messages in one moment. */
  #later(): void {
    if (this.#timer) return;
    const wait = Math.max(0, this.#drawn + (this.#flooded ? floodEveryMs : drawEveryMs) - performance.now());
    this.#timer = window.setTimeout(() => {
      this.#timer = 0;
      this.#drawn = performance.now();
      for (const row of this.#fresh) this.#fill(row);
      this.#fresh.clear();
      this.#tick(this.#waiting[0] ?? this.#rows[0]?.entry);
      if (this.#rows.some((row) => row.details.open)) this.#refresh();
      else this.#release(this.#flooded ? mostInFlood : mostRows);
    }, wait);
  }

  /** Shows what has come, so many at most; of the others it says how many they are. */
  #release(room: number): void {
    const rows = this.#waiting.slice(0, room).map((entry) => this.#make(entry));
    const skipped = this.#skipped + this.#waiting.length - rows.length;
    const gap = skipped > 0 ? [h("li", { class: "gap" }, `and ${skipped.toLocaleString("en")} more`)] : [];
    this.#waiting = [];
    this.#skipped = 0;
    // Read before anything is written.
    const slides = rows.length === 1 && !this.#flooded && this.#list.scrollTop === 0;
    this.#list.prepend(...rows.map((row) => row.element), ...gap);
    if (slides) pulse(this.#list, [{ translate: "0 -72px" }, { translate: "0 0" }], 260);
    this.#rows = [...rows, ...this.#rows].slice(0, mostRows);
    const last = this.#rows.at(-1)?.element;
    while (last?.nextSibling) last.nextSibling.remove();
    this.#refresh();
  }

  #refresh(): void {
    byId("no-messages").hidden = this.#rows.length > 0;
    byId("clear-tape").hidden = this.#rows.length === 0;
    const waiting = this.#waiting.length + this.#skipped;
    this.#held.hidden = waiting === 0;
    this.#held.textContent = `${waiting.toLocaleString("en")} newer ${waiting === 1 ? "message" : "messages"}`;
    this.#refocus();
  }

  /** In a narrow window the newest message is in sight wherever one has scrolled to. */
  #tick(entry: Entry | undefined): void {
    if (!entry) return;
    byId("ticker").hidden = false;
    byId("ticker-text").textContent = `${this.#options.nameOf(entry)}: ${entry.text || "(no text)"}`;
    byId("ticker-score").textContent = entry.error ? "not published" : `${entry.got.size} of ${entry.subscribers.length}`;
  }

  #make(entry: Entry): Row {
    const score = h("span", { class: "score" });
    const time = h("time", { dateTime: entry.at.toISOString() }, clock(entry.at));
    const summary = h(
      "summary",
      {},
      h("span", { class: "row-top" }, h("span", { class: "row-text" }, entry.text || "(no text)"), time),
      h("span", { class: "row-tags" }, ...entry.tags.map((tag) => h("span", { class: "chip chip-small", title: tag }, tag))),
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
        if (!this.#rows.some((other) => other.details.open)) this.#release(mostRows);
      }
    });
    this.#fill(row);
    return row;
  }

  #fill(row: Row): void {
    const { entry, score } = row;
    row.element.dataset.result = entry.error ? "refused" : entry.got.size > 0 ? "some" : "none";
    if (entry.error) score.replaceChildren(entry.error);
    else {
      const others = entry.got.size < entry.subscribers.length;
      score.replaceChildren(
        "delivered to ",
        h("b", {}, String(entry.got.size)),
        ` of ${entry.subscribers.length}${others ? ": " : ""}`,
        others ? h("span", { class: "why-not" }, "why not the others?") : "",
      );
    }
    const why = row.details.querySelector(".why");
    if (row.details.open && why) why.replaceWith(this.#explanation(row));
  }

  #explanation({ entry }: Row): HTMLElement {
    const verdicts = explain(entry).sort((a, b) => rank(a) - rank(b));
    const what = entry.text || "the message without a text";
    const again = iconButton("again", `Publish “${what}” again`, () => this.#options.again(entry));
    const copy = iconButton("code", `Copy “${what}” as a command or code`, () => this.#options.copyAs(entry));
    return h(
      "div",
      { class: "why" },
      h("p", { class: "why-head" }, h("span", {}, `from ${this.#options.nameOf(entry)}`), again, copy),
      entry.subscribers.length === 0 ? h("p", { class: "hint" }, "There were no subscribers.") : null,
      h("ul", {}, ...verdicts.map((each) => verdictLine(each))),
    );
  }
}

function verdictLine({ subscriber, got, missing }: Verdict): HTMLElement {
  const chips = subscriber.tags.map((tag) => {
    const lacks = missing.includes(tag);
    const chip = h("span", { class: "chip chip-small", title: tag, data: { lamp: lacks ? "missing" : "lit" } }, tag);
    if (lacks) chip.prepend(h("span", { class: "sr" }, "missing: "));
    return chip;
  });
  const mark = h("span", { class: "mark", data: { got: String(got) } }, icon(got ? "check" : "remove"));
  mark.append(h("span", { class: "sr" }, got ? "got it" : "did not get it"));
  const late = !got && missing.length === 0 ? h("span", { class: "hint" }, "matches, and nothing has arrived") : null;
  return h("li", {}, mark, h("span", { class: "why-name" }, subscriber.name), h("span", { class: "why-chips" }, ...chips), late);
}

/** Those that got it first, then those that came closest. */
function rank(verdict: Verdict): number {
  return verdict.got ? -1 : verdict.missing.length / Math.max(1, verdict.subscriber.tags.length);
}

function clock(at: Date): string {
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
