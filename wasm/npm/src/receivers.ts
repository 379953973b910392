/** Owns whom the messages of a fast lane are for. Knows nothing of brokers. */

import { type Taker, call, hasEnded, queue, round } from "./dispatch.js";
import type { LocalSubscription } from "./subscription.js";
import type { Handler } from "./types.js";

/**
 * The receivers of one tag set. Their handlers stand beside them: to look into thousands of receivers costs more than
 * to call what they would.
 */
export class Receivers implements Taker {
  readonly all: LocalSubscription[] = [];
  readonly handlers: (Handler | undefined)[] = [];
  /** Whose all of them are, if it is one. */
  lane: object | undefined;

  /** When they were queued last. */
  #queued = -1;

  /** Returns these and one more; others, when these may stand in the queue with messages from before. */
  with(receiver: LocalSubscription, handler: Handler | undefined): Receivers {
    const receivers = this.#own();
    receivers.#push(receiver, handler);
    return receivers;
  }

  /** Returns these without one. */
  without(receiver: LocalSubscription): Receivers {
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
    if (this.#queued !== round) return this;
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

  get size(): number {
    return this.all.length;
  }

  /** Queues a message for these, except the sender's own; `false` when the queue is full. */
  queue(message: unknown, sender: object | undefined): boolean {
    if (!queue(this, message, sender)) return false;
    this.#queued = round;
    return true;
  }

  take(message: never, sender: object | undefined): void {
    const { all, handlers, lane } = this;
    if (sender !== undefined && lane === sender) return;
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

  #push(receiver: LocalSubscription, handler: Handler | undefined): void {
    this.lane = this.all.length === 0 || this.lane === receiver.lane ? receiver.lane : undefined;
    this.all.push(receiver);
    this.handlers.push(handler);
  }
}
