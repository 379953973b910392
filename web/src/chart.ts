/** Owns the strip chart: one canvas with matches a second and latencies. It does not know where they are from. */

import { byId } from "./dom.js";

/** One point in time. */
export interface Point {
  readonly at: number;
  readonly matches: number;
  readonly p50: number | undefined;
  readonly p99: number | undefined;
}

const spanMs = 45_000;
const gap = 14;
/** What the lane of latencies begins at, in milliseconds: browsers let a page see no less. */
const fastest = 0.1;

interface Lane {
  readonly top: number;
  readonly height: number;
}

/** Draws the last 45 seconds, in step with the screen, while it is running and can be seen. */
export class Chart {
  readonly #canvas = byId<HTMLCanvasElement>("chart");
  readonly #context = this.#canvas.getContext("2d");
  #points: Point[] = [];
  #frame = 0;
  #running = false;
  #visible = true;
  /** What the axes end at; they follow slowly, so that the lines do not jump. Latencies stand by their magnitude. */
  #most = 1;
  #decades = 2;

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    new IntersectionObserver(([entry]) => {
      this.#visible = entry?.isIntersecting ?? true;
      this.#ask();
    }).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Adds a point. */
  add(point: Point): void {
    this.#points.push(point);
    while (this.#points[0] && this.#points[0].at < point.at - spanMs - 2000) this.#points.shift();
  }

  /** Starts or stops the paper. */
  run(running: boolean): void {
    this.#running = running;
    this.#ask();
  }

  /** Forgets everything. */
  clear(): void {
    this.#points = [];
    this.#draw();
  }

  /** Draws again, in other colours. */
  recolour(): void {
    this.#draw();
  }

  #ask(): void {
    if (this.#frame || !this.#running || !this.#visible) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
      this.#ask();
    });
  }

  #draw(): void {
    const context = this.#context;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!context || width === 0) return;
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== w || this.#canvas.height !== h) [this.#canvas.width, this.#canvas.height] = [w, h];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);

    const style = getComputedStyle(this.#canvas);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    context.font = `500 11px ${style.fontFamily}`;
    const upper: Lane = { top: 6, height: (height - gap - 6) * 0.58 };
    const lower: Lane = { top: upper.top + upper.height + gap, height: (height - gap - 6) * 0.42 - 4 };

    const seen = this.#points;
    const most = Math.max(1, ...seen.map((point) => point.matches));
    const slowest = Math.max(5, ...seen.map((point) => point.p99 ?? 0));
    this.#most += (round(most * 1.1) - this.#most) * 0.2;
    this.#decades += (Math.ceil(Math.log10(slowest / fastest)) - this.#decades) * 0.2;
    const decades = Math.round(this.#decades);
    const magnitude = (value: number): number => 1 - Math.log10(Math.max(value, fastest) / fastest) / this.#decades;

    const now = this.#running ? performance.now() - 250 : (seen.at(-1)?.at ?? 0);
    const x = (at: number): number => width - ((now - at) / spanMs) * width;
    const steps = Array.from({ length: decades + 1 }, (_, index) => index);
    lines(context, upper, width, colour("--line"), [0, 0.5, 1]);
    lines(context, lower, width, colour("--line"), steps.map((step) => magnitude(fastest * 10 ** step)));
    if (seen.length > 1) {
      const rate = (point: Point): number => 1 - point.matches / this.#most;
      trace(context, seen, upper, x, rate);
      context.strokeStyle = colour("--chart-rate");
      context.lineWidth = 2;
      context.stroke();
      context.lineTo(x(seen.at(-1)!.at), upper.top + upper.height);
      context.lineTo(x(seen[0]!.at), upper.top + upper.height);
      context.fillStyle = colour("--chart-fill");
      context.fill();
      for (const [name, of] of [["--chart-p99", "p99"], ["--chart-p50", "p50"]] as const) {
        trace(context, seen.filter((point) => point[of] !== undefined), lower, x, (point) => magnitude(point[of] ?? 0));
        context.strokeStyle = colour(name);
        context.lineWidth = 1.75;
        context.stroke();
      }
    }
    if (seen.length === 0) return;
    const halo = colour("--panel");
    const round3 = Number(this.#most.toPrecision(3));
    label(context, `${figure(round3).replace(/\.?0+ M/, " M")} matches/s`, upper.top + 9, colour("--muted"), halo);
    for (const step of steps.slice(1)) {
      const y = lower.top + magnitude(fastest * 10 ** step) * lower.height;
      label(context, `${fastest * 10 ** step} ms`, y, colour("--muted"), halo);
    }
  }
}

function lines(context: CanvasRenderingContext2D, lane: Lane, width: number, colour: string, at: readonly number[]): void {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const share of at) {
    const y = Math.round(lane.top + lane.height * share) + 0.5;
    context.moveTo(0, y);
    context.lineTo(width, y);
  }
  context.stroke();
}

function trace(
  context: CanvasRenderingContext2D,
  points: readonly Point[],
  lane: Lane,
  x: (at: number) => number,
  y: (point: Point) => number,
): void {
  context.beginPath();
  context.lineJoin = "round";
  for (const [index, point] of points.entries()) {
    const height = lane.top + Math.max(0, Math.min(1, y(point))) * lane.height;
    if (index === 0) context.moveTo(x(point.at), height);
    else context.lineTo(x(point.at), height);
  }
}

function label(context: CanvasRenderingContext2D, text: string, y: number, colour: string, halo: string): void {
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.strokeStyle = halo;
  context.strokeText(text, 4, y);
  context.fillStyle = colour;
  context.fillText(text, 4, y);
}

/** The next round figure: 1, 2, 2.5, 5 times a power of ten. */
function round(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** A figure as people read it: `12,400` and `1.24 M`. */
export function figure(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return Math.round(value).toLocaleString("en");
}

/** A duration as people read it. */
export function milliseconds(value: number): string {
  // Browsers let a page see tenths of a millisecond only.
  if (value < 0.1) return "< 0.1 ms";
  if (value < 10) return `${value.toFixed(1)} ms`;
  return `${Math.round(value).toLocaleString("en")} ms`;
}
