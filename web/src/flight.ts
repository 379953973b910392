/** Owns how tags travel across the page. It does not know what happens where they land. */

import { byId, h, wantsStillness } from "./dom.js";

/** One tag on its way from one element to another. */
export interface Leg {
  readonly tag: string;
  readonly from: Element;
  readonly to: Element;
  /** Called when it is there, or at once when it does not travel. */
  readonly land: () => void;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** More at a time would be a cloud, not tags. */
const mostInTheAir = 24;
let inTheAir = 0;

/** Sends tags on their way, one shortly after the other; `slowly` so many times as slow. */
export function fly(legs: readonly Leg[], slowly = 1): void {
  const still = wantsStillness() || document.hidden;
  // First everything is read, then everything is written: otherwise the page would be laid out anew for each tag.
  const ways = legs.map(({ from, to }, index) => {
    if (still || inTheAir + index >= mostInTheAir) return undefined;
    const box = to.getBoundingClientRect();
    return isInView(box) ? { start: clamp(from.getBoundingClientRect()), end: middle(box) } : undefined;
  });
  legs.forEach((leg, index) => {
    const way = ways[index];
    if (way) travel(leg, way.start, way.end, index, slowly);
    else leg.land();
  });
}

function travel({ tag, land }: Leg, start: Point, end: Point, index: number, slowly: number): void {
  const spark = h("span", { class: "spark" }, tag);
  byId("sky").append(spark);
  const distance = Math.hypot(end.x - start.x, end.y - start.y);
  // A little above the straight line, as something thrown.
  const bend = { x: (start.x + end.x) / 2, y: Math.min(start.y, end.y) - 24 - distance * 0.06 };
  const steps = 14;
  const frames = Array.from({ length: steps + 1 }, (_, step): Keyframe => {
    const t = eased(step / steps);
    const x = along(start.x, bend.x, end.x, t);
    const y = along(start.y, bend.y, end.y, t);
    const scale = step === 0 ? 0.6 : 1;
    return { transform: `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) scale(${scale})`, opacity: step === 0 ? 0 : 1 };
  });
  inTheAir += 1;
  const timing = { duration: (420 + Math.min(420, distance * 0.42)) * slowly, delay: index * 26 * slowly, fill: "backwards" as const };
  const flight = spark.animate(frames, timing);
  const arrive = (): void => {
    inTheAir -= 1;
    spark.remove();
    land();
  };
  flight.finished.then(arrive, arrive);
}

/** Ends all that is on its way. */
export function ground(): void {
  for (const flight of byId("sky").getAnimations({ subtree: true })) flight.cancel();
}

/** Lets an element answer to something with a short pulse. */
export function pulse(element: Element, frames: Keyframe[], duration: number): void {
  if (wantsStillness() || document.hidden) return;
  element.animate(frames, { duration, easing: "cubic-bezier(.2,.7,.2,1)" });
}

function along(a: number, b: number, c: number, t: number): number {
  return (1 - t) * (1 - t) * a + 2 * (1 - t) * t * b + t * t * c;
}

function eased(t: number): number {
  return t < 0.5 ? 4 * t ** 3 : 1 - (-2 * t + 2) ** 3 / 2;
}

function isInView(box: DOMRect): boolean {
  return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth && box.width > 0;
}

function middle(box: DOMRect): Point {
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
}

/** The middle of an element; of one that is scrolled away, the nearest point at the edge of the window. */
function clamp(box: DOMRect): Point {
  const { x, y } = middle(box);
  return { x: Math.min(innerWidth - 12, Math.max(12, x)), y: Math.min(innerHeight - 12, Math.max(12, y)) };
}
