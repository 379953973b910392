/**
 * Owns the way from the core's calls to the application's handlers: all of them run later, in order, a bounded number
 * at a time. Knows nothing of brokers and connections.
 */

import { report } from "./error.js";

/** What takes part in the queue. */
export interface Receiver<T> {
  /** Whose it is: it gets nothing that this one sends. */
  readonly lane?: object | undefined;
  take(item: T): void;
}

/** How many entries may wait. More come only from a page that publishes without ever letting go. */
const MOST = 131_072;

/** How many run before the clock is looked at. */
const AT_ONCE = 1_024;

/** For how many milliseconds handlers run before the page gets a turn: half a frame. */
const TURN_MS = 8;

// Arrays side by side: an object for each entry would cost more than all else here.
let receivers: (readonly Receiver<never>[])[] = [];
let items: unknown[] = [];
let senders: (object | undefined)[] = [];
let at = 0;
let isScheduled = false;

/** Queues an item for some receivers, except the sender's own; `false` when the queue is full. */
export function queue<T>(to: readonly Receiver<T>[], item: T, sender: object | undefined): boolean {
  if (receivers.length - at >= MOST) return false;
  push(to, item, sender);
  return true;
}

/** Queues what must not be lost. */
export function push<T>(to: readonly Receiver<T>[], item: T, sender?: object): void {
  receivers.push(to as readonly Receiver<never>[]);
  items.push(item);
  senders.push(sender);
  if (!isScheduled) {
    isScheduled = true;
    queueMicrotask(run);
  }
}

function run(): void {
  const end = performance.now() + TURN_MS;
  let left = AT_ONCE;
  while (at < receivers.length && (left > 0 || performance.now() < end)) {
    if (left <= 0) left = AT_ONCE;
    const to = receivers[at]!;
    const item = items[at] as never;
    const sender = senders[at];
    at += 1;
    for (let index = 0; index < to.length; index++) {
      const receiver = to[index]!;
      if (sender === undefined || receiver.lane !== sender) receiver.take(item);
    }
    left -= to.length;
  }
  if (at < receivers.length) {
    // Handlers that publish could otherwise keep the page from ever drawing or reading again.
    soon(run);
    return;
  }
  if (at > AT_ONCE) {
    [receivers, items, senders] = [[], [], []];
  } else {
    receivers.length = items.length = senders.length = 0;
  }
  at = 0;
  isScheduled = false;
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
