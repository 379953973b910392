/** Owns the sliders and the figures of the synthetic load. The load itself is made in a worker. */

import { Chart, figure, milliseconds } from "./chart.js";
import { byId, h, icon } from "./dom.js";
import type { Order, Sample } from "./load-worker.js";
import type { Load } from "./model.js";
import { change, state } from "./state.js";
import type { Place } from "./wire.js";

// What the sliders can be at; in between there is nothing worth seeing.
const rates = [1, 10, 50, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, Infinity];
const subscriptions = [0, 1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const tags = Array.from({ length: 16 }, (_, index) => index + 1);

/** What one may want to know of, each with its figures. */
const presets: readonly (readonly [string, Load])[] = [
  ["A chat", { rate: 50, subscriptions: 200, tags: 2 }],
  ["A city", { rate: 2000, subscriptions: 1000, tags: 4 }],
  ["A market", { rate: 20_000, subscriptions: 10_000, tags: 6 }],
  ["All it can", { rate: Infinity, subscriptions: 1000, tags: 4 }],
];

/** The load's controls, its figures and its chart. */
export class LoadControls {
  readonly #chart = new Chart();
  readonly #button = byId<HTMLButtonElement>("load-toggle");
  #worker: Worker | undefined;
  #place: Place = { kind: "page" };
  #lately: Sample[] = [];
  readonly #texts = new Map<string, (value: number) => string>();
  readonly #presets: HTMLButtonElement[] = [];
  readonly #announce: (text: string) => void;

  constructor(announce: (text: string) => void) {
    this.#announce = announce;
    this.#slider("load-rate", rates, "rate", (rate) => (rate === Infinity ? "as fast as possible" : `${figure(rate)} messages/s`));
    this.#slider("load-subscriptions", subscriptions, "subscriptions", (count) => `${figure(count)} ${count === 1 ? "subscription" : "subscriptions"}`);
    this.#slider("load-tags", tags, "tags", (count) => `${count} ${count === 1 ? "tag" : "tags"} per message`);
    for (const [name, load] of presets) {
      const preset = h("button", { type: "button", class: "preset", on: { click: () => change({ load }, true) } }, name);
      this.#presets.push(preset);
    }
    byId("load-presets").append(...this.#presets);
    this.#button.addEventListener("click", () => (this.#worker ? this.#stop() : this.#start()));
    this.#drawButton();
  }

  /** Shows the state, and lets the worker know of it. */
  update(load: Load): void {
    this.#show("load-rate", rates, load.rate);
    this.#show("load-subscriptions", subscriptions, load.subscriptions);
    this.#show("load-tags", tags, load.tags);
    this.#presets.forEach((preset, index) => preset.setAttribute("aria-pressed", String(isSame(presets[index]?.[1], load))));
    this.#worker?.postMessage(this.#order(load));
    // What was measured belongs to what was asked for.
    this.#lately = [];
  }

  /** The board went to another broker: the load starts anew there. */
  follow(place: Place): void {
    if (JSON.stringify(place) === JSON.stringify(this.#place)) return;
    this.#place = place;
    byId("load-where").textContent =
      place.kind === "page"
        ? "Messages for a second broker, in a worker of this page."
        : "Messages over two further connections to the server. Be sure it is yours.";
    if (this.#worker) this.#stop();
  }

  /** Draws the chart in the colours of now. */
  recolour(): void {
    this.#chart.recolour();
  }

  #start(): void {
    const worker = new Worker(new URL("./load-worker.ts", import.meta.url), { type: "module", name: "load" });
    this.#worker = worker;
    this.#lately = [];
    worker.onmessage = ({ data }: MessageEvent<Sample>) => this.#take(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#stop();
      byId("load-trouble").textContent = `The worker cannot start: ${event.message || "its file does not load"}.`;
    };
    worker.postMessage(this.#order(state().load));
    this.#chart.clear();
    this.#chart.run(true);
    byId("load-hint").hidden = true;
    byId("load-result").textContent = "";
    this.#drawButton();
    this.#announce("Load started.");
  }

  #stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#chart.run(false);
    byId("load-trouble").textContent = "";
    this.#drawButton();
    this.#announce(`Load stopped. ${byId("load-result").textContent}`);
  }

  #take(sample: Sample): void {
    byId("load-trouble").textContent = sample.trouble && `Nothing is published: ${sample.trouble}.`;
    if (sample.during <= 0) return;
    const perSecond = (count: number): number => (count / sample.during) * 1000;
    const { p50, p99 } = sample;
    this.#chart.add({ at: performance.now(), matches: perSecond(sample.matches), p50, p99 });
    // The figures are of the last second: five a second could not be read.
    this.#lately = [...this.#lately, sample].slice(-5);
    if (this.#lately.length < 5 && this.#lately.length > 1) return;
    const during = this.#lately.reduce((sum, each) => sum + each.during, 0);
    const rate = (of: "published" | "matches"): number => (this.#lately.reduce((sum, each) => sum + each[of], 0) / during) * 1000;
    byId("load-result").textContent = sentence(rate("published"), rate("matches"), sample);
    byId("figure-published").textContent = figure(rate("published"));
    byId("figure-matches").textContent = figure(rate("matches"));
    byId("figure-p50").textContent = p50 === undefined ? "–" : milliseconds(p50);
    byId("figure-p99").textContent = p99 === undefined ? "–" : milliseconds(p99);
    byId("figure-dropped").textContent = figure(sample.dropped);
    byId("figure-dropped").parentElement!.hidden = sample.dropped === 0;
  }

  #order({ rate, subscriptions, tags }: Load): Order {
    const place = this.#place;
    const where = place.kind === "server" ? { url: place.url, token: place.token } : { url: "", token: "" };
    return { ...where, rate, subscriptions, tags };
  }

  #drawButton(): void {
    const running = this.#worker !== undefined;
    this.#button.replaceChildren(icon(running ? "pause" : "play"), running ? "Stop the load" : "Start the load");
  }

  #slider(id: string, steps: readonly number[], of: keyof Load, text: (value: number) => string): void {
    const slider = byId<HTMLInputElement>(id);
    slider.max = String(steps.length - 1);
    const chosen = (): number => steps[Number(slider.value)] ?? 0;
    slider.addEventListener("input", () => change({ load: { ...state().load, [of]: chosen() } }, true));
    this.#texts.set(id, text);
  }

  #show(id: string, steps: readonly number[], value: number): void {
    const slider = byId<HTMLInputElement>(id);
    const distance = (step: number): number => Math.abs(Math.log1p(Math.min(step, 1e9)) - Math.log1p(Math.min(value, 1e9)));
    const nearest = steps.reduce((best, step, index) => (distance(step) < distance(steps[best] ?? 0) ? index : best), 0);
    const text = this.#texts.get(id)?.(value) ?? "";
    slider.value = String(nearest);
    slider.style.setProperty("--filled", `${(nearest / Math.max(1, steps.length - 1)) * 100}%`);
    slider.setAttribute("aria-valuetext", text);
    byId(`${id}-text`).textContent = text;
  }
}

/** What came of it, for those who read no charts. */
function sentence(published: number, matches: number, { subscriptions, p50, p99 }: Sample): string {
  const found = `${count(published, "message")} a second, among ${count(subscriptions, "subscription")}, made ${count(matches, "delivery", "deliveries")}.`;
  if (p50 === undefined || p99 === undefined) return found;
  return `${found} Half of them arrived within ${milliseconds(Math.max(p50, 0.1))}, 99 of 100 within ${milliseconds(Math.max(p99, 0.1))}.`;
}

function count(number: number, one: string, more = `${one}s`): string {
  const text = figure(number);
  return `${text} ${text === "1" ? one : more}`;
}

function isSame(one: Load | undefined, other: Load): boolean {
  return one?.rate === other.rate && one.subscriptions === other.subscriptions && one.tags === other.tags;
}
