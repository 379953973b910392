/**
 * Owns the way from the core's calls to the application's handlers: all of them run later, in order, a bounded number
 * at a time. Knows nothing of brokers and connections.
 */

import { report } from "./error.js";

/** What takes part in the queue. */
export interface Receiver<T> {
  take(item: T): void;
}

/** How many may wait. More come only from a page that publishes without ever letting go. */
const MOST = 131_072;

/** How many run before the page gets a turn. */
const AT_ONCE = 4_096;

let receivers: Receiver<unknown>[] = [];
let items: unknown[] = [];
let at = 0;
let isScheduled = false;

/** Queues an item for a receiver; `false` when the queue is full. */
export function queue<T>(receiver: Receiver<T>, item: T): boolean {
  if (receivers.length - at >= MOST) return false;
  push(receiver, item);
  return true;
}

/** Queues what must not be lost. */
export function push<T>(receiver: Receiver<T>, item: T): void {
  receivers.push(receiver as Receiver<unknown>);
  items.push(item);
  if (!isScheduled) {
    isScheduled = true;
    queueMicrotask(run);
  }
}

function run(): void {
  const end = at + AT_ONCE;
  while (at < receivers.length && at < end) {
    const receiver = receivers[at]!;
    const item = items[at];
    at += 1;
    try {
      receiver.take(item);
    } catch (error) {
      report(error);
    }
  }
  if (at < receivers.length) {
    // Handlers that publish could otherwise keep the page from ever drawing or reading again.
    soon(run);
    return;
  }
  receivers = [];
  items = [];
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
