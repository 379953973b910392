/** Owns the first seconds: one message in slow motion, told step by step. It does not know how messages travel. */

import { byId } from "./dom.js";
import type { Publisher, Subscriber } from "./model.js";
import { missing } from "./tags.js";

/** So many times as slow as the others. */
export const slowness = 4;

const stepMs = 2600;

/** Tells what happens to the first message. It is told once in each tab, and whoever does anything ends it. */
export class Opening {
  readonly #text = byId("opening");
  readonly #over: () => void;
  #timer = 0;
  #isRunning = false;
  readonly #end = (): void => this.end();

  /** `over` is called when it has been told, or has been ended. */
  constructor(over: () => void) {
    this.#over = over;
  }

  /** Whether there is something to tell: nobody has seen it in this tab. */
  get isDue(): boolean {
    try {
      return sessionStorage.getItem("mist-opening") === null;
    } catch {
      return true;
    }
  }

  /** Whether it is being told. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Tells what happens to a message. */
  tell(publisher: Publisher, tags: readonly string[], subscribers: readonly Subscriber[]): void {
    try {
      sessionStorage.setItem("mist-opening", "told");
    } catch {
      // Where nothing may be kept, it is told again.
    }
    this.#isRunning = true;
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, this.#end, { capture: true });
    document.body.dataset.opening = "";
    this.#step(story(publisher, tags, subscribers), 0);
  }

  /** Ends it. */
  end(): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    clearTimeout(this.#timer);
    for (const type of ["pointerdown", "keydown"]) removeEventListener(type, this.#end, { capture: true });
    delete document.body.dataset.opening;
    this.#text.textContent = "";
    this.#over();
  }

  #step(steps: readonly string[], at: number): void {
    const step = steps[at];
    if (step === undefined) return this.end();
    this.#text.textContent = step;
    this.#timer = window.setTimeout(() => this.#step(steps, at + 1), stepMs);
  }
}

/** Three sentences: what is published, who gets it, and who does not. */
function story(publisher: Publisher, tags: readonly string[], subscribers: readonly Subscriber[]): string[] {
  const shared = subscribers.filter((each) => each.tags.some((tag) => tags.includes(tag)));
  const matching = shared.filter((each) => missing(each.tags, tags).length === 0);
  const reader = matching.find((each) => each.tags.length > 1) ?? matching[0];
  const near = shared.find((each) => missing(each.tags, tags).length > 0);
  const steps = [`${publisher.name} publishes one message, with ${tags.length === 1 ? "the tag" : "the tags"} ${list(tags)}.`];
  if (reader) steps.push(`${reader.name} asks for ${list(reader.tags)}: all of that is on the message, so it arrives.`);
  if (near) steps.push(`${near.name} asks for ${list(missing(near.tags, tags))} too. That is missing, so it gets nothing.`);
  return steps;
}

function list(tags: readonly string[]): string {
  return tags.length < 2 ? tags.join() : `${tags.slice(0, -1).join(", ")} and ${tags.at(-1)}`;
}
