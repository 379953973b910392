/**
 * Owns the way from the core's calls to the application's handlers: all of them run later, in order, a bounded number
 * at a time. Knows nothing of brokers and connections.
 */

import { report } from "./error.js";

/** What is called with a message. */
type Handler = (message: never, subscription: never) => unknown;

/** Who takes messages out of the queue, one by one. */
export interface Receiver {
  /** Whose it is: it gets nothing that this one sends. */
  readonly lane: object | undefined;
  take(message: never): void;
}

/**
 * The receivers of one tag set. Their handlers stand beside them: to look into thousands of receivers costs more than
 * to call what they would.
 */
export class Receivers {
  readonly all: Receiver[] = [];
  readonly handlers: (Handler | undefined)[] = [];
  /** Whose all of them are, if it is one. */
  lane: object | undefined;

  /** When they were queued last. */
  round = -1;

  /** Returns these and one more; others, when these may stand in the queue with messages from before. */
  with(receiver: Receiver, handler: Handler | undefined): Receivers {
    const receivers = this.#own();
    receivers.#push(receiver, handler);
    return receivers;
  }

  /** Returns these without one. */
  without(receiver: Receiver): Receivers {
    const receivers = this.#own();
    const at = receivers.all.indexOf(receiver);
    if (at >= 0) {
      receivers.all.splice(at, 1);
      receivers.handlers.splice(at, 1);
    }
    return receivers;
  }

  /** These, or a copy when these may stand in the queue. */
  #own(): Receivers {
    if (this.round !== round) return this;
    const copy = new Receivers();
    for (const [at, receiver] of this.all.entries()) copy.#push(receiver, this.handlers[at]);
    return copy;
  }

  /** How many of them are not the sender's own. */
  count(sender: object | undefined): number {
    if (sender === undefined) return this.all.length;
    if (this.lane !== undefined) return this.lane === sender ? 0 : this.all.length;
    return this.all.filter(({ lane }) => lane !== sender).length;
  }

  #push(receiver: Receiver, handler: Handler | undefined): void {
    this.lane = this.all.length === 0 || this.lane === receiver.lane ? receiver.lane : undefined;
    this.all.push(receiver);
    this.handlers.push(handler);
  }
}

/** How many entries may wait. More come only from a page that publishes without ever letting go. */
const MOST = 131_072;

/** For how many entries room is kept. */
const KEPT = 8_192;

/** How many run before the clock is looked at. */
const AT_ONCE = 1_024;

/** For how many milliseconds handlers run before the page gets a turn: half a frame. */
const TURN_MS = 8;

/** What waits, three places an entry: the receivers, the item, the sender. Objects would cost more than all else here. */
let slots: unknown[] = [];
let head = 0;
let tail = 0;
/** Whether `run` will be called: soon, or only after the page had its turn. */
let due: "no" | "soon" | "later" = "no";

/** Whether a receiver has ended since the queue was empty: it may still stand there. */
let hasEnded = false;

/** How often the queue has become empty. */
let round = 0;

/** Notes that a receiver takes no more. */
export function ended(): void {
  hasEnded = true;
}

/** Queues a message for some receivers, except the sender's own; `false` when the queue is full. */
export function queue(to: Receivers, message: unknown, sender: object | undefined): boolean {
  if (tail - head >= 3 * MOST) return false;
  to.round = round;
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
  // Who publishes without ever giving the page its turn is not waited for.
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
    const to = slots[head] as Receivers | ((item: never) => void);
    const item = slots[head + 1] as never;
    const sender = slots[head + 2];
    slots[head] = slots[head + 1] = slots[head + 2] = undefined;
    head += 3;
    if (typeof to === "function") {
      left -= 1;
      to(item);
    } else {
      left -= to.all.length;
      if (sender === undefined || to.lane !== sender) hand(to, item, sender);
    }
  }
  // The room is kept, unless it was a flood that needed so much.
  if (tail > 3 * KEPT) slots = [];
  head = tail = 0;
  round += 1;
  hasEnded = false;
  due = "no";
}

/** Calls everybody whom a message is for. */
function hand({ all, handlers, lane }: Receivers, message: never, sender: unknown): void {
  const isMixed = sender !== undefined && lane === undefined;
  for (let index = 0; index < handlers.length; index++) {
    const handler = handlers[index];
    const receiver = all[index]!;
    if (handler === undefined || hasEnded || isMixed) {
      if (!isMixed || receiver.lane !== sender) receiver.take(message);
    } else {
      call(handler, message, receiver as never);
    }
  }
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
