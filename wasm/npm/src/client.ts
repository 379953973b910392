/**
 * Owns the one implementation of `Client`: a machine that decides, a link to a broker, and who waits for what.
 * Knows nothing of what the link is made of.
 */

import { makeAdmin } from "./admin.js";
import { afterwards } from "./dispatch.js";
import { MistError, UnauthorizedError, textOf } from "./error.js";
import { Events } from "./events.js";
import type { Attempt, Lane, Link, Socket } from "./link.js";
import { Machine } from "./machine.js";
import { Delivered, listOf, nameOf, namesOf, sorted, textOfData } from "./message.js";
import type { Output, Settings } from "./output.js";
import { LocalSubscription } from "./subscription.js";
import type {
  Admin,
  Client,
  ClientEvents,
  Code,
  Handler,
  ListenOptions,
  Outgoing,
  PublishOptions,
  Publisher,
  Receipt,
  Reply,
  RequestOptions,
  State,
  SubscribeOptions,
  Subscription,
  Tag,
  TagLike,
} from "./types.js";
import type { Answer, Asked } from "./wire.js";

interface Waiting {
  /** Called at once when the answer is good, while the broker still stands as the answer says. */
  onAnswer: (() => void) | undefined;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** What a publish without acknowledgement is told: always the same, so that it costs nothing. */
const PUBLISHED: Promise<Receipt> = Promise.resolve(Object.freeze({}));

const DEFAULT_BUFFER = 8192;

export class LinkedClient implements Client {
  readonly ready: Promise<void>;
  readonly admin: Admin;
  #settleReady!: { resolve: () => void; reject: (error: Error) => void };
  #state: State = "connecting";
  #events = new Events();
  #link: Link;
  #socket: Socket | undefined;
  #machine: Machine;
  /** Whether what the machine wants done is being done. */
  #isAtWork = false;
  /** Whether the first attempt to connect has come to something, and who waits for that. */
  #hasTried = false;
  #untried: (() => void)[] = [];
  #lane: Lane | undefined;
  /** The attempt that led to the connection, or may yet; what others tell is not heard. */
  #attempt: Attempt | undefined;
  #hangUp: (() => Promise<void> | void) | undefined;
  /** When the other side knows that the connection was given up. */
  #gone: Promise<void> | void = undefined;
  #unwatch: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wakes = 0;
  #isTimed = false;
  #waiting = new Map<number, Waiting>();
  #subscriptions = new Map<number, LocalSubscription>();
  /** What the application's function for the token has thrown. */
  #thrown: unknown;
  #signal: AbortSignal | undefined;
  #closed: MistError | undefined;
  #closeCode: number | undefined;
  #dropped = 0;
  #unlisten: (() => void) | undefined;
  #onClosed: (client: LinkedClient) => void;

  /** It connects once it is told to {@link start}. */
  constructor(link: Link, settings: Settings, signal?: AbortSignal, onClosed: (client: LinkedClient) => void = () => {}) {
    this.#link = link;
    this.#onClosed = onClosed;
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
    this.ready.catch(() => {});
    this.#machine = new Machine(settings, Math.random, now());
    this.admin = makeAdmin((...request) => this.#request(...request));
    this.#unwatch = link.watch?.(() => this.#call((machine) => machine.probe(now())));
    this.#signal = signal;
    if (signal) {
      const close = (): void => {
        const cause: unknown = signal.reason;
        this.#close(new MistError("closed", `the client is closed (aborted: ${textOf(cause)}): make another`, { cause }));
      };
      signal.addEventListener("abort", close, { once: true });
      this.#unlisten = () => signal.removeEventListener("abort", close);
      if (signal.aborted) close();
    }
  }

  /** Connects. */
  start(): this {
    this.#call(() => {});
    return this;
  }

  get state(): State {
    return this.#state;
  }

  // --- the connection -----------------------------------------------------------------------------------------------

  #dial(): void {
    if (this.#closed) return;
    const { token: source } = this.#link;
    let token: string | undefined;
    const attempt: Attempt = {
      open: (socket: Socket, lane) => {
        if (this.#attempt !== attempt) return;
        this.#lane = lane;
        this.#socket = socket;
        this.#call((machine) => machine.open(now(), token, token === source));
      },
      receive: (text) => {
        if (this.#attempt === attempt) this.#call((machine) => machine.receive(now(), text));
      },
      lost: (reason, code) => {
        if (this.#attempt !== attempt) return;
        this.#attempt = this.#hangUp = undefined;
        this.#leaveLane();
        this.#closeCode = code;
        this.#call((machine) => machine.lost(now(), code, reason));
      },
    };
    const dial = (given: string | undefined): void => {
      token = given;
      const hangUp = this.#link.dial(attempt);
      if (this.#attempt === attempt) this.#hangUp = hangUp;
    };
    this.#attempt = attempt;
    if (typeof source === "function") this.#obtain(source, dial);
    else dial(source);
  }

  #renew(): void {
    const { token: source } = this.#link;
    if (typeof source === "function") this.#obtain(source, (token) => this.#call((machine) => machine.token(now(), token)));
  }

  /** Asks the application for a token, and says what comes of it, unless the connection that it is for has ended. */
  #obtain(source: () => string | Promise<string>, take: (token: string) => void): void {
    const attempt = this.#attempt;
    const check = (given: unknown): string => {
      if (typeof given === "string") return given;
      throw new TypeError(`the function for it returned ${typeof given}, not a string`);
    };
    // Not before what is being done is done.
    Promise.resolve().then(source).then(check).then(
      (token) => {
        if (this.#attempt === attempt) take(token);
      },
      (error: unknown) => {
        if (this.#attempt !== attempt) return;
        this.#thrown = error;
        this.#call((machine) => machine.noToken(now(), textOf(error), error instanceof UnauthorizedError));
        this.#thrown = undefined;
      },
    );
  }

  /** Gives the connection up; returns when the other side knows. */
  #giveUp(): Promise<void> | void {
    this.#leaveLane();
    const hangUp = this.#hangUp;
    this.#attempt = this.#hangUp = undefined;
    return hangUp?.();
  }

  /** Has a subscription get its messages over the lane, if the broker holds it. */
  #joinLane(subscription: LocalSubscription): void {
    if (this.#machine.holds(subscription.number)) this.#lane?.add(subscription);
  }

  #clearLane(): void {
    for (const subscription of this.#subscriptions.values()) this.#lane?.remove(subscription);
  }

  #leaveLane(): void {
    this.#clearLane();
    this.#lane = undefined;
  }

  #do(output: Output): void {
    switch (output[0]) {
      case "connect":
        return this.#dial();
      case "obtain-token":
        return this.#renew();
      case "send":
        try {
          this.#socket?.send(output[1]);
        } catch {
          // A socket that cannot take it is closed or closing; its end is heard of.
        }
        return;
      case "disconnect":
        this.#gone = this.#giveUp();
        return;
      case "answer": {
        const [, request, answer] = output;
        this.#waiting.get(request)?.onAnswer?.();
        return this.#settle(request, ({ resolve }) => resolve(answer));
      }
      case "fail": {
        const [, request, error] = output;
        return this.#settle(request, ({ reject }) => reject(error));
      }
      case "connecting":
        // The broker holds nothing any more when that is because the token has ended.
        this.#clearLane();
        return this.#setState("connecting");
      case "open":
        // First of all, so that what waits for it goes out before what a listener asks for.
        this.#noteTried();
        for (const subscription of this.#subscriptions.values()) this.#joinLane(subscription);
        this.#setState("open");
        this.#settleReady.resolve();
        return this.#events.emit("open", { resumed: output[1] });
      case "waiting":
        this.#noteTried();
        this.#setState("waiting");
        return this.#events.emit("close", { ...this.#code(), reason: output[1], retryInMs: Math.round(output[2]) });
      case "closed": {
        const [, code, reason, serverCode] = output;
        return this.#ended(this.#errorOf(code, reason, serverCode));
      }
      case "token-failed":
        return this.#error("auth", output[1], output[2]);
      case "message": {
        const [, tags, data, subscriptions] = output;
        const message = new Delivered(tags, data, true);
        for (const number of subscriptions) this.#subscriptions.get(number)?.offer(message);
        return;
      }
      case "dropped":
        return this.#tellDropped(output[1]);
      case "revoked": {
        const [, tags, text, serverCode] = output;
        return this.#revoked(tags, text, serverCode);
      }
      case "refused":
        return this.#error("refused", output[1], output[2]);
      case "discarded":
        return this.#error("discarded", `${output[1]} publishes that were kept for the next connection are discarded`);
      case "unreadable":
        return this.#error("unreadable", output[1]);
    }
  }

  #errorOf(code: Code, text: string, serverCode?: string): MistError {
    const cause = this.#thrown;
    return new MistError(code, text, cause === undefined ? cause : { cause }, serverCode);
  }

  #code(): { code?: number } {
    return this.#closeCode === undefined ? {} : { code: this.#closeCode };
  }

  #error(code: Code, text: string, serverCode?: string): void {
    this.#events.emit("error", this.#errorOf(code, text, serverCode));
  }

  #setState(state: State): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.emit("state", state);
  }

  #revoked(tags: readonly string[], text: string, serverCode: string): void {
    const revoked = [...this.#subscriptions.values()].filter(({ tags: held }) => isSame(held, tags));
    for (const subscription of revoked) this.#endSubscription(subscription, new MistError("revoked", text, undefined, serverCode));
    this.#error("revoked", `the broker does not hold the subscription to ${tags.join(", ")} any more: ${text}`, serverCode);
  }

  /** Calls the machine, does what it wants done, and sees to its timer. */
  #call<T>(call: (machine: Machine) => T): T {
    const result = call(this.#machine);
    if (!this.#isAtWork) {
      this.#isAtWork = true;
      try {
        // What is done may lead to further calls; what those want done comes after it.
        for (let output; (output = this.#machine.poll()); ) this.#do(output);
      } finally {
        this.#isAtWork = false;
      }
    }
    if (!this.#isTimed) {
      // Once for all that is asked in one go.
      this.#isTimed = true;
      queueMicrotask(() => this.#setTimer());
    }
    return result;
  }

  #setTimer(): void {
    this.#isTimed = false;
    const due = this.#machine.due();
    // One that comes too early does nothing and is set again: that is less than to set it with each message.
    if (due !== undefined && this.#timer !== undefined && this.#wakes <= due) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (due === undefined) return;
    this.#wakes = due;
    const wake = (): void => {
      this.#timer = undefined;
      this.#call((machine) => machine.timeout(now()));
    };
    this.#timer = setTimeout(wake, Math.min(Math.ceil(Math.max(due - now(), 0)), 0x7fffffff));
  }

  // --- verbs --------------------------------------------------------------------------------------------------------

  subscribe(tags: readonly TagLike[], handler?: Handler, options: SubscribeOptions = {}): Subscription {
    const names = sorted(namesOf(tags, "subscribe"));
    if (handler !== undefined && typeof handler !== "function") {
      throw new MistError("invalid-argument", `a handler is a function, not ${typeof handler}: options come third`);
    }
    const { buffer = DEFAULT_BUFFER, signal } = options;
    if (!(buffer >= 0)) throw new MistError("invalid-argument", `buffer: ${String(buffer)} is not a number of messages`);
    this.#checkOpen();
    const holder = {
      unsubscribe: (subscription: LocalSubscription) => this.#unsubscribe(subscription),
      dropped: () => this.#noteDrop(),
      changed: (subscription: LocalSubscription) => {
        if (!subscription.set) return;
        this.#lane?.remove(subscription);
        this.#lane?.add(subscription);
      },
    };
    const subscription = new LocalSubscription(holder, names, handler, buffer);
    if (signal?.aborted) {
      subscription.abort(signal.reason);
      return subscription;
    }
    if (signal) {
      const end = (): void => subscription.abort(signal.reason);
      signal.addEventListener("abort", end, { once: true });
      // A signal may live as long as the application.
      subscription.onEnd = () => signal.removeEventListener("abort", end);
    }
    this.#call((machine) => {
      const [number, request] = machine.subscribe(now(), names);
      // Both before anything is done: the answer may be among it.
      subscription.number = number;
      this.#subscriptions.set(number, subscription);
      // Not before the answer: the broker may refuse it.
      this.#await(request, () => this.#joinLane(subscription)).then(
        () => subscription.settle(),
        (error: Error) => this.#refused(subscription, error),
      );
    });
    return subscription;
  }

  #refused(subscription: LocalSubscription, error: Error): void {
    const wasOpen = !subscription.closed;
    this.#endSubscription(subscription, error);
    if (wasOpen && error instanceof MistError && error.code !== "closed" && error.code !== "unsubscribed") {
      this.#events.emit("error", error);
    }
  }

  #endSubscription(subscription: LocalSubscription, error: Error): void {
    this.#lane?.remove(subscription);
    this.#subscriptions.delete(subscription.number);
    subscription.end(error);
  }

  async #unsubscribe(subscription: LocalSubscription): Promise<void> {
    if (subscription.closed) return;
    const { number } = subscription;
    this.#endSubscription(subscription, new MistError("unsubscribed", "unsubscribed before the broker acknowledged it"));
    if (number === 0) return;
    await this.#ask((machine) => machine.unsubscribe(now(), number)).catch((error: unknown) => {
      // It has ended with the client.
      if (!this.#closed) throw error;
    });
  }

  publish(tags: readonly TagLike[], data: unknown, options: PublishOptions & { ack: true }): Promise<Required<Receipt>>;
  publish(tags: readonly TagLike[], data?: unknown, options?: PublishOptions): Promise<Receipt>;
  publish(tags: readonly TagLike[], data?: unknown, options?: PublishOptions): Promise<Receipt> {
    // The short way first: it does not take what is wrong, and that comes to light on the other.
    if (options === undefined && this.#lane !== undefined && this.#state === "open") {
      try {
        if (this.#lane.publish(tags, data)) return PUBLISHED;
      } catch (error) {
        return Promise.reject(error as Error);
      }
    }
    let names: string[];
    let text: string;
    try {
      [names, text] = [namesOf(tags, "publish"), textOfData(data)];
      this.#lane?.check("publish", names, text, options?.ack === true);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    const published = this.#publish(names, text, data, options);
    // A program need not wait for it, so a rejection that it cannot prevent must not end the program.
    if (!options?.ack) published.catch((error: MistError) => this.#events.emit("error", error));
    return published;
  }

  async #publish(names: string[], text: string, data: unknown, options: PublishOptions = {}): Promise<Receipt> {
    this.#checkOpen();
    options.signal?.throwIfAborted();
    if (!this.#hasTried) await this.#tried();
    if (options.ack) {
      const { delivered, nodes } = await this.#ask((machine) => machine.publishAcked(now(), names, text), options, data);
      return { ...(delivered !== undefined && { delivered }), ...(nodes !== undefined && { nodes }) };
    }
    this.#carry(data, () => this.#call((machine) => machine.publish(now(), names, text)));
    return {};
  }

  async publishAll(messages: readonly Outgoing[]): Promise<void> {
    if (!Array.isArray(messages)) {
      throw new MistError("invalid-argument", 'messages are given as an array, such as [{tags: ["a"], data: "b"}]');
    }
    const checked = messages.map((message: Outgoing | undefined) => {
      const { tags, data } = message ?? {};
      // Inside a page data need not have a text.
      if (!this.#lane) textOfData(data);
      namesOf(tags, "publish");
      return { tags: tags!, data };
    });
    await Promise.all(checked.map(({ tags, data }) => this.publish(tags, data)));
  }

  publisher(tags: readonly TagLike[]): Publisher {
    const names = namesOf(tags, "publish");
    const handles = names.map((name) => this.tag(name));
    return {
      tags: sorted(names),
      publish: ((data?: unknown, options?: PublishOptions) => this.publish(handles, data, options)) as Publisher["publish"],
    };
  }

  tag(name: string): Tag {
    return this.#lane?.tag(nameOf(name)) ?? { name: nameOf(name) };
  }

  async ping(options?: RequestOptions): Promise<number> {
    const start = now();
    await this.#request("ping", [], {}, options);
    return now() - start;
  }

  async list(options?: RequestOptions): Promise<string[][]> {
    return (await this.#request("list", [], {}, options)).subscriptions;
  }

  async command(name: string, data = "", tags: readonly TagLike[] = [], options?: RequestOptions): Promise<Reply> {
    if (typeof data !== "string") {
      throw new MistError("invalid-argument", `a command's data is a string, not ${typeof data}: encode it, say as JSON`);
    }
    const { tags: answered, data: text } = await this.#request(name, listOf(tags).map(nameOf), { data: textOfData(data) }, options);
    return { tags: answered, data: text };
  }

  on<K extends keyof ClientEvents>(
    type: K,
    listener: (event: ClientEvents[K]) => unknown,
    options?: ListenOptions,
  ): () => void {
    return this.#events.on(type, listener as (event: never) => unknown, options);
  }

  async close(): Promise<void> {
    this.#close(new MistError("closed", "the client is closed: make another"));
    await this.#gone;
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  // --- requests -----------------------------------------------------------------------------------------------------

  async #request(command: string, tags: string[], asked: Asked, options?: RequestOptions): Promise<Answer> {
    this.#checkOpen();
    if (typeof command !== "string" || command === "") {
      throw new MistError("invalid-argument", "a command's name is a string that is not empty");
    }
    this.#lane?.check(command, tags, asked.data ?? "", true);
    return this.#ask((machine) => machine.request(now(), command, tags, asked), options);
  }

  /** Asks for something that is answered. */
  async #ask(ask: (machine: Machine) => number, options: RequestOptions = {}, data?: unknown): Promise<Answer> {
    const { signal } = options;
    if (!this.#hasTried) await this.#tried();
    signal?.throwIfAborted();
    let number = 0;
    const answer = this.#carry(data, () => {
      let answer!: Promise<Answer>;
      this.#call((machine) => {
        number = ask(machine);
        // Before anything is done: the answer may be among it.
        answer = this.#await(number);
      });
      return answer;
    });
    if (!signal) return answer;
    const giveUp = (): void => this.#take(number)?.reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    return answer.finally(() => signal.removeEventListener("abort", giveUp));
  }

  #carry<T>(data: unknown, publish: () => T): T {
    return this.#lane && data !== undefined ? this.#lane.carry(data, publish) : publish();
  }

  #await(request: number, onAnswer?: () => void): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.set(request, { resolve, reject, onAnswer }));
  }

  #take(request: number): Waiting | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    return waiting;
  }

  /** Settles a request, once what came before its answer has been handled. */
  #settle(request: number, settle: (waiting: Waiting) => void): void {
    const waiting = this.#take(request);
    if (waiting) afterwards(settle, waiting);
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closed;
  }

  /** Waits for the outcome of the first attempt to connect: until then nobody can know that there is no connection. */
  #tried(): Promise<void> {
    return new Promise((resolve) => this.#untried.push(resolve));
  }

  #noteTried(): void {
    this.#hasTried = true;
    for (const resolve of this.#untried.splice(0)) resolve();
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  #close(error: MistError): void {
    if (this.#closed) return;
    this.#closed = error;
    // That of a connection before is not why it ends.
    this.#closeCode = undefined;
    this.#call((machine) => machine.close());
  }

  /** Lets go of everything: the machine says that this is the end. */
  #ended(error: MistError): void {
    this.#closed ??= error.code === "auth" ? error : new MistError("closed", `the client is closed (${error.message}): make another`);
    this.#clearLane();
    for (const subscription of this.#subscriptions.values()) subscription.end(this.#closed);
    this.#subscriptions.clear();
    this.#setState("closed");
    this.#settleReady.reject(this.#signal?.aborted ? this.#signal.reason : this.#closed);
    if (error.code === "auth") this.#events.emit("error", error);
    this.#events.emit("close", { ...this.#code(), reason: error.message });
    this.#unwatch?.();
    this.#unlisten?.();
    this.#onClosed(this);
    this.#noteTried();
  }

  #noteDrop(): void {
    if (this.#dropped === 0) {
      // Once for all that are dropped in one go.
      setTimeout(() => {
        const count = this.#dropped;
        this.#dropped = 0;
        this.#tellDropped(count);
      });
    }
    this.#dropped += 1;
  }

  #tellDropped(count: number): void {
    this.#events.emit("dropped", { count });
  }
}

function now(): number {
  return performance.now();
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((tag, at) => tag === others[at]);
}
