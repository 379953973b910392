/** Owns one subscription's handler, iterator and end. Knows nothing of connections. */

import { type Taker, call, ended, queue } from "./dispatch.js";
import { MistError } from "./error.js";
import type { Code, Handler, Message, Subscription } from "./types.js";

/** How a subscription ends when the application wants it to. */
const WANTED: ReadonlySet<Code> = new Set<Code>(["closed", "unsubscribed"]);

/** What a subscription needs of its client. */
export interface Holder {
  unsubscribe(subscription: LocalSubscription): Promise<void>;
  dropped(): void;
  /** Takes note that messages now go elsewhere too. */
  changed(subscription: LocalSubscription): void;
}

export class LocalSubscription implements Subscription, Taker {
  readonly size = 1;
  readonly tags: readonly string[];
  readonly ready: Promise<void>;
  /** Its number at the core's client, once it has one. */
  number = 0;
  /** Its tag set at the broker of this page, once that takes messages for it. */
  set: object | undefined;
  /** Whose it is there. */
  lane: object | undefined;
  dropped = 0;
  /** Called when it has ended. */
  onEnd: (() => void) | undefined;

  readonly holder: Holder;
  #handler: Handler | undefined;
  /** What an iterator has not taken yet; only filled for somebody who iterates. */
  #buffer: Message[] | undefined;
  #most: number;
  #waiting: ((result: IteratorResult<Message, undefined> | Promise<never>) => void)[] = [];
  /** Why it ended though nobody asked for it: iterating fails with it, once. */
  #failure: Error | undefined;
  #isClosed = false;
  #settle!: { resolve: () => void; reject: (error: Error) => void };

  constructor(holder: Holder, tags: readonly string[], handler: Handler | undefined, most: number) {
    this.holder = holder;
    this.tags = tags;
    this.#handler = handler;
    this.#most = most;
    this.#buffer = handler ? undefined : [];
    this.ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Without a caller that awaits it, an event reports the error.
    this.ready.catch(() => {});
  }

  get closed(): boolean {
    return this.#isClosed;
  }

  /** Notes that the broker holds it. */
  settle(): void {
    this.#settle.resolve();
  }

  /** Ends it; `error` says why it never was. */
  end(error: Error): void {
    this.#isClosed = true;
    ended();
    this.#settle.reject(error);
    this.onEnd?.();
    if (!(error instanceof MistError) || !WANTED.has(error.code)) this.#failure = error;
    for (const wake of this.#waiting.splice(0)) wake(this.#over());
  }

  /** Queues a message for the handler or iterator. */
  offer(message: Message): void {
    if (!queue(this, message, undefined)) this.drop();
  }

  /** Hands a message to the handler, and to who iterates. */
  take(message: Message): void {
    if (this.#isClosed) return;
    if (this.#handler !== undefined) call(this.#handler, message, this);
    if (this.#buffer === undefined) return;
    const wake = this.#waiting.shift();
    if (wake) {
      wake({ done: false, value: message });
    } else {
      if (this.#buffer.length < this.#most) this.#buffer.push(message);
      else this.drop();
    }
  }

  /** What is called with a message when nothing else is to be done with it. */
  get handler(): Handler | undefined {
    return this.#buffer === undefined ? this.#handler : undefined;
  }

  #over(): IteratorResult<Message, undefined> | Promise<never> {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure ? Promise.reject(failure) : { done: true, value: undefined };
  }

  /** Counts a message that is lost. */
  drop(): void {
    this.dropped += 1;
    this.holder.dropped();
  }

  /** Gives it up, and tells whoever waits for it why. */
  abort(reason: unknown): void {
    this.#settle.reject(reason as Error);
    this[Symbol.dispose]();
  }

  unsubscribe(): Promise<void> {
    return this.holder.unsubscribe(this);
  }

  [Symbol.dispose](): void {
    this.unsubscribe().catch(() => {});
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    if (!this.#buffer) {
      this.#buffer = [];
      this.holder.changed(this);
    }
    const buffer = this.#buffer;
    return {
      next: () => {
        const value = buffer.shift();
        if (value) return Promise.resolve({ done: false, value });
        if (this.#isClosed) return Promise.resolve(this.#over());
        return new Promise((resolve) => this.#waiting.push(resolve));
      },
      return: async () => {
        await this.unsubscribe().catch(() => {});
        return { done: true, value: undefined };
      },
    };
  }
}
