/** Owns the city: its vehicles and readers, and when each vehicle speaks. It does not know how messages travel. */

import type { Card, Vehicle } from "./model.js";

/** The readers a first visitor finds. */
export const cityCards: readonly Omit<Card, "id">[] = [
  { name: "Late buses", tags: ["bus", "late"] },
  { name: "Depot", tags: ["bus"] },
  { name: "North desk", tags: ["district:north"] },
  { name: "Riders of the 7", tags: ["line:7"] },
  { name: "Trouble up north", tags: ["bus", "district:north", "late"] },
  { name: "Harbour", tags: ["ferry", "district:harbour"] },
  { name: "Full trams", tags: ["tram", "full"] },
  { name: "Night watch", tags: ["night", "late"] },
];

/** The vehicles a first visitor finds. */
export const cityVehicles: readonly Omit<Vehicle, "id">[] = [
  bus("Bus 7", ["bus", "line:7", "district:north"], ["late"], 7, "Mill Lane\nObservatory\nNorth Gate\nOld Brewery"),
  bus("Bus 12", ["bus", "line:12", "district:south"], ["full"], 9, "Botanical Garden\nSouth Market\nStadium"),
  bus("Tram 4", ["tram", "line:4", "district:north"], ["full"], 8, "University\nOpera\nNorth Gate"),
  bus("Night bus N2", ["bus", "night", "line:N2"], ["late"], 11, "Last stop before midnight\nHospital\nCentral Station"),
  bus("Ferry 1", ["ferry", "line:1", "district:harbour"], ["late"], 12, "Pier 3, boarding\nLighthouse\nPier 1"),
  bus("Tram 9", ["tram", "line:9", "district:south"], ["late"], 10, "Brick Street\nSouth Market\nWaterworks"),
];

function bus(name: string, tags: string[], sometimes: string[], every: number, text: string): Omit<Vehicle, "id"> {
  return { name, tags, sometimes, text, every, on: true };
}

/** What a vehicle says next. */
export interface Saying {
  readonly tags: string[];
  readonly text: string;
}

/** Lets the vehicles speak, each in its own time. */
export class Timetable {
  /** How often each has spoken. */
  readonly #spoken = new Map<string, number>();
  readonly #timers = new Map<string, { timer: number; every: number }>();
  #vehicles: readonly Vehicle[] = [];
  #running = false;
  readonly #speak: (vehicle: Vehicle, saying: Saying) => void;

  constructor(speak: (vehicle: Vehicle, saying: Saying) => void) {
    this.#speak = speak;
  }

  /** What a vehicle says now, by hand or by the clock: every third message carries the tags it has sometimes. */
  next(vehicle: Vehicle): Saying {
    const count = this.#spoken.get(vehicle.id) ?? 0;
    this.#spoken.set(vehicle.id, count + 1);
    const lines = vehicle.text.split("\n").filter((line) => line.trim() !== "");
    const tags = count % 3 === 0 ? [...vehicle.tags, ...vehicle.sometimes] : [...vehicle.tags];
    return { tags: [...new Set(tags)], text: lines[count % lines.length] ?? "" };
  }

  /** Takes the vehicles as they are now. */
  update(vehicles: readonly Vehicle[]): void {
    this.#vehicles = vehicles;
    for (const [id, { timer, every }] of this.#timers) {
      const vehicle = vehicles.find((each) => each.id === id);
      if (vehicle?.on && vehicle.every === every && this.#running) continue;
      clearTimeout(timer);
      this.#timers.delete(id);
    }
    if (!this.#running) return;
    vehicles.forEach((vehicle, index) => {
      // At the start one after the other, so that the first look sees something move, and not all at once.
      const first = this.#spoken.has(vehicle.id) ? vehicle.every : 0.5 + index * 1.3;
      if (vehicle.on && !this.#timers.has(vehicle.id)) this.#schedule(vehicle, first);
    });
  }

  /** Starts or stops the clock. */
  run(running: boolean): void {
    this.#running = running;
    this.update(this.#vehicles);
  }

  #schedule(vehicle: Vehicle, seconds: number): void {
    const timer = window.setTimeout(() => {
      this.#timers.delete(vehicle.id);
      const now = this.#vehicles.find((each) => each.id === vehicle.id);
      if (!now?.on || !this.#running) return;
      if (now.tags.length > 0) this.#speak(now, this.next(now));
      // A little early or late, so that the vehicles do not fall into step.
      this.#schedule(now, now.every * (0.85 + Math.random() * 0.3));
    }, seconds * 1000);
    this.#timers.set(vehicle.id, { timer, every: vehicle.every });
  }
}
