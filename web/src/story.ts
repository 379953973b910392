/** Owns the city: its publishers and readers, and when each publisher speaks. It does not know how messages travel. */

import type { Publisher, Subscriber } from "./model.js";

/** The readers a first visitor finds. */
export const citySubscribers: readonly Omit<Subscriber, "id">[] = [
  { name: "Late buses", tags: ["bus", "late"] },
  { name: "Depot", tags: ["bus"] },
  { name: "North desk", tags: ["district:north"] },
  { name: "Riders of the 7", tags: ["line:7"] },
  { name: "Trouble up north", tags: ["bus", "district:north", "late"] },
  { name: "Harbour", tags: ["ferry", "district:harbour"] },
  { name: "Full trams", tags: ["tram", "full"] },
  { name: "Night watch", tags: ["night", "late"] },
];

/** The publishers a first visitor finds. */
export const cityPublishers: readonly Omit<Publisher, "id">[] = [
  bus("Bus 7", ["bus", "line:7", "district:north"], ["late"], 7, "Mill Lane\nObservatory\nNorth Gate\nOld Brewery"),
  bus("Bus 12", ["bus", "line:12", "district:south"], ["full"], 9, "Botanical Garden\nSouth Market\nStadium"),
  bus("Tram 4", ["tram", "line:4", "district:north"], ["full"], 8, "University\nOpera\nNorth Gate"),
  bus("Night bus N2", ["bus", "night", "line:N2"], ["late"], 11, "Last stop before midnight\nHospital\nCentral Station"),
  bus("Ferry 1", ["ferry", "line:1", "district:harbour"], ["late"], 12, "Pier 3, boarding\nLighthouse\nPier 1"),
  bus("Tram 9", ["tram", "line:9", "district:south"], ["late"], 10, "Brick Street\nSouth Market\nWaterworks"),
];

function bus(name: string, tags: string[], sometimes: string[], every: number, text: string): Omit<Publisher, "id"> {
  return { name, tags, sometimes, text, every, on: true };
}

/** What a publisher says next. */
export interface Saying {
  readonly tags: string[];
  readonly text: string;
}

/** Lets the publishers speak, each in its own time. */
export class Timetable {
  /** How often each has spoken. */
  readonly #spoken = new Map<string, number>();
  readonly #timers = new Map<string, { timer: number; every: number }>();
  #publishers: readonly Publisher[] = [];
  #running = false;
  readonly #speak: (publisher: Publisher, saying: Saying) => void;

  constructor(speak: (publisher: Publisher, saying: Saying) => void) {
    this.#speak = speak;
  }

  /** What a publisher says now, by hand or by the clock: every third message carries the tags it has sometimes. */
  next(publisher: Publisher): Saying {
    const count = this.#spoken.get(publisher.id) ?? 0;
    this.#spoken.set(publisher.id, count + 1);
    const lines = publisher.text.split("\n").filter((line) => line.trim() !== "");
    const tags = count % 3 === 0 ? [...publisher.tags, ...publisher.sometimes] : [...publisher.tags];
    return { tags: [...new Set(tags)], text: lines[count % lines.length] ?? "" };
  }

  /** Takes the publishers as they are now. */
  update(publishers: readonly Publisher[]): void {
    this.#publishers = publishers;
    for (const [id, { timer, every }] of this.#timers) {
      const publisher = publishers.find((each) => each.id === id);
      if (publisher?.on && publisher.every === every && this.#running) continue;
      clearTimeout(timer);
      this.#timers.delete(id);
    }
    if (!this.#running) return;
    publishers.forEach((publisher, index) => {
      // At the start one after the other, so that the first look sees something move, and not all at once.
      const first = this.#spoken.has(publisher.id) ? publisher.every : 0.5 + index * 1.3;
      if (publisher.on && !this.#timers.has(publisher.id)) this.#schedule(publisher, first);
    });
  }

  /** Starts or stops the clock. */
  run(running: boolean): void {
    this.#running = running;
    this.update(this.#publishers);
  }

  #schedule(publisher: Publisher, seconds: number): void {
    const timer = window.setTimeout(() => {
      this.#timers.delete(publisher.id);
      const now = this.#publishers.find((each) => each.id === publisher.id);
      if (!now?.on || !this.#running) return;
      if (now.tags.length > 0) this.#speak(now, this.next(now));
      // A little early or late, so that the publishers do not fall into step.
      this.#schedule(now, now.every * (0.85 + Math.random() * 0.3));
    }, seconds * 1000);
    this.#timers.set(publisher.id, { timer, every: publisher.every });
  }
}
