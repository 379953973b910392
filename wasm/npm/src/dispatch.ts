/**
 * Owns the way from the core's calls to the application's handlers: all of them run later, in order, a bounded number
 * at a time. Knows nothing of brokers and connections.
 */

import { report } from "./error.js";

/** Who takes messages out of the queue. */
export interface Taker {
  /** How many are called with each. */
  readonly size: number;
  /** Takes a message that this one has sent, if anybody in this page has. */
  take(message: never, sender: object | undefined): void;
}

/** How many entries may wait. More come only from a page that publishes without ever letting go. */
const MOST = 131_072;

/** For how many entries room is kept. */
const KEPT = 8_192;

/** How many run before the clock is looked at. */
const AT_ONCE = 1_024;

/** For how many milliseconds handlers run before the page gets a turn: half a frame. */
const TURN_MS = 8;

/** What waits, three places an entry: who takes it, the item, the sender. Objects would cost more than all else here. */
let slots: unknown[] = [];
let head = 0;
let tail = 0;
/** Whether `run` will be called: soon, or only after the page had its turn. */
let due: "no" | "soon" | "later" = "no";

/** Whether a receiver has ended since the queue was empty: it may still stand there. */
export let hasEnded = false;

/** How often the queue has become empty. */
export let round = 0;

/** Notes that a receiver takes no more. */
export function ended(): void {
  hasEnded = true;
}

/** Queues a message; `false` when the queue is full. */
export function queue(to: Taker, message: unknown, sender: object | undefined): boolean {
  if (tail - head >= 3 * MOST) return false;
  push(to, message, sender);
  return true;
}

/** Queues a call that must not be lost, in order with the messages. */
export function afterwards<T>(call: (item: T) => void, item: T): void {
  push(call, item, undefined);
}

function push(to: unknown, item: unknown, sender: object | undefined): void {
  slots[tail] = to;
  slots[tail + 1] = item;
  slots[tail + 2] = sender;
  tail += 3;
  // A publisher that never yields to the page is not waited for.
  if (due === "no" || (due === "later" && tail - head > 3 * KEPT)) {
    due = "soon";
    queueMicrotask(run);
  }
}

function run(): void {
  const end = performance.now() + TURN_MS;
  let left = AT_ONCE;
  while (head < tail) {
    if (left <= 0) {
      if (performance.now() >= end) {
        // Handlers that publish could otherwise keep the page from ever drawing or reading again.
        due = "later";
        // What has been handed out must not stay, however long others follow.
        slots = slots.slice(head, tail);
        tail -= head;
        head = 0;
        soon(() => due === "later" && run());
        return;
      }
      left = AT_ONCE;
    }
    const to = slots[head] as Taker | ((item: never) => void);
    const item = slots[head + 1] as never;
    const sender = slots[head + 2] as object | undefined;
    slots[head] = slots[head + 1] = slots[head + 2] = undefined;
    head += 3;
    if (typeof to === "function") {
      left -= 1;
      to(item);
    } else {
      left -= to.size;
      to.take(item, sender);
    }
  }
  // The room is kept, unless it was a flood that needed so much.
  if (tail > 3 * KEPT) slots = [];
  head = tail = 0;
  round += 1;
  hasEnded = false;
  due = "no";
}

/** Runs something after the page has had a turn; timers would wait four milliseconds. */
function soon(work: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    work();
  };
  port2.postMessage(0);
}

/** Calls a function of the application; what it throws, or rejects with, is reported. */
export function call<A, B>(listener: (a: A, b: B) => unknown, a: A, b: B): void {
  try {
    const result = listener(a, b);
    if (result !== undefined && result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}
