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

/** More at a time would be a cloud, not tags. */
const mostInTheAir = 40;
let inTheAir = 0;

/** Sends tags on their way, one shortly after the other. */
export function fly(legs: readonly Leg[]): void {
  const still = wantsStillness() || document.hidden;
  legs.forEach((leg, index) => {
    const to = leg.to.getBoundingClientRect();
    if (still || inTheAir >= mostInTheAir || !isInView(to)) leg.land();
    else travel(leg, to, index);
  });
}

function travel({ tag, from, land }: Leg, to: DOMRect, index: number): void {
  const start = clamp(from.getBoundingClientRect());
  const spark = h("span", { class: "spark" }, tag);
  byId("sky").append(spark);
  const size = spark.getBoundingClientRect();
  const end = { x: to.left + to.width / 2, y: to.top + to.height / 2 };
  const distance = Math.hypot(end.x - start.x, end.y - start.y);
  // A little above the straight line, as something thrown.
  const bend = { x: (start.x + end.x) / 2, y: Math.min(start.y, end.y) - 24 - distance * 0.06 };
  const steps = 14;
  const frames = Array.from({ length: steps + 1 }, (_, step): Keyframe => {
    const t = eased(step / steps);
    const x = along(start.x, bend.x, end.x, t) - size.width / 2;
    const y = along(start.y, bend.y, end.y, t) - size.height / 2;
    const scale = step === 0 ? 0.6 : 1;
    return { transform: `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) scale(${scale})`, opacity: step === 0 ? 0 : 1 };
  });
  inTheAir += 1;
  const timing = { duration: 420 + Math.min(420, distance * 0.42), delay: index * 26, fill: "backwards" as const };
  const flight = spark.animate(frames, timing);
  const arrive = (): void => {
    inTheAir -= 1;
    spark.remove();
    land();
  };
  flight.finished.then(arrive, arrive);
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

/** The middle of an element; of one that is scrolled away, the nearest point at the edge of the window. */
function clamp(box: DOMRect): { x: number; y: number } {
  const x = box.left + box.width / 2;
  const y = box.top + box.height / 2;
  return { x: Math.min(innerWidth - 12, Math.max(12, x)), y: Math.min(innerHeight - 12, Math.max(12, y)) };
}
