/**
 * Owns the one implementation of `Client`: the core's client, a link to a broker, and who waits for what.
 * Knows nothing of what the link is made of.
 */

import type { Core } from "./core.js";
import { afterwards } from "./dispatch.js";
import { MistError, UnauthorizedError, textOf } from "./error.js";
import { Events } from "./events.js";
import type { Attempt, Lane, Link, Socket } from "./link.js";
import { Delivered, listOf, nameOf, namesOf, sorted, textOfData } from "./message.js";
import { LocalSubscription } from "./subscription.js";
import { defer as later, enter } from "./turn.js";
import type {
  Admin,
  Client,
  ClientEvents,
  Code,
  GrantOptions,
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

/** How a client works; milliseconds, and negative where something is off. */
export interface Settings {
  timeout: number;
  heartbeat: number;
  retryLeast: number;
  retryMost: number;
  offlineMessages: number;
  offlineBytes: number;
  offlineAge: number;
}

type CoreClient = InstanceType<Core["Client"]>;

interface Answer {
  tags: string[];
  data: string;
  /** The tag sets of `list`, or the tags of `listall`. */
  sets: string[][] | string[];
  /** Whom an acknowledged publish has reached, or the connections of `who`; else -1. */
  count: number;
  subscribers: number;
}

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
  #core: CoreClient | undefined;
  /** Whether the first attempt to connect has come to something, and who waits for that. */
  #hasTried = false;
  #untried: (() => void)[] = [];
  /** What was asked for before the core was loaded. */
  #early: (() => void)[] = [];
  #lane: Lane | undefined;
  /** The attempt that led to the connection, or may yet; what others tell is not heard. */
  #attempt: Attempt | undefined;
  #hangUp: (() => Promise<void> | void) | undefined;
  /** When the other side knows that the connection was given up. */
  #gone: Promise<void> | void = undefined;
  #unwatch: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isTimed = false;
  #waiting = new Map<number, Waiting>();
  #subscriptions = new Map<number, LocalSubscription>();
  /** The subscriptions that have no number yet. */
  #unnumbered = new Set<LocalSubscription>();
  /** Why the last verb failed. */
  #failure: MistError | undefined;
  /** What the application's function for the token has thrown. */
  #thrown: unknown;
  #signal: AbortSignal | undefined;
  #closed: MistError | undefined;
  #closeCode: number | undefined;
  #dropped = 0;
  #unlisten: (() => void) | undefined;
  #onClosed: (client: LinkedClient) => void;

  constructor(
    core: Core | Promise<Core>,
    link: Link,
    settings: Settings,
    signal?: AbortSignal,
    onClosed: (client: LinkedClient) => void = () => {},
  ) {
    this.#link = link;
    this.#onClosed = onClosed;
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
    this.ready.catch(() => {});
    this.admin = this.#makeAdmin();
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
    if (core instanceof Promise) {
      core.then(
        (core) => this.#begin(core, settings),
        (error: unknown) => this.#close(new MistError("unsupported", `cannot load mist's core: ${textOf(error)}`, { cause: error })),
      );
    } else {
      this.#begin(core, settings);
    }
  }

  get state(): State {
    return this.#state;
  }

  // --- the connection -----------------------------------------------------------------------------------------------

  #begin(core: Core, settings: Settings): void {
    if (this.#closed) return;
    const seed = crypto.getRandomValues(new BigUint64Array(1))[0]!;
    const { timeout, heartbeat, retryLeast, retryMost, offlineMessages, offlineBytes, offlineAge } = settings;
    this.#core = new core.Client(
      this.#host(), seed, now(), timeout, heartbeat, retryLeast, retryMost, offlineMessages, offlineBytes, offlineAge,
    );
    this.#unwatch = this.#link.watch?.(() => this.#call((core) => core.probe(now())));
    this.#setTimer();
    for (const verb of this.#early.splice(0)) verb();
  }

  /** What the core calls. It is at work meanwhile: nothing here may call it. */
  #host(): object {
    return {
      connect: () => later(() => this.#dial()),
      renew: () => later(() => this.#renew()),
      disconnect: () => later(() => (this.#gone = this.#giveUp())),
      message: (tags: string[], data: string, numbers: Float64Array) => {
        const message = new Delivered(tags, data, true);
        for (const number of numbers) this.#subscriptions.get(number)?.offer(message);
      },
      // Who asked notes the request's number first: some are answered before the call that asks returns.
      answer: (request: number, tags: string[], data: string, sets: Answer["sets"], count: number, subscribers: number) => {
        later(() => {
          this.#waiting.get(request)?.onAnswer?.();
          this.#settle(request, ({ resolve }) => resolve({ tags, data, sets, count, subscribers }));
        });
      },
      fail: (request: number, code: Code, text: string, serverCode: string) => {
        const error = new MistError(code, text, undefined, serverCode);
        if (request === 0) this.#failure = error;
        else later(() => this.#settle(request, ({ reject }) => reject(error)));
      },
      event: (name: string, text: string, number: number, serverCode: string) => this.#event(name, text, number, serverCode),
      revoked: (tags: string[], text: string, serverCode: string) => later(() => this.#revoked(tags, text, serverCode)),
    };
  }

  #dial(): void {
    if (this.#closed) return;
    const { token: source } = this.#link;
    let token: string | undefined;
    const attempt: Attempt = {
      open: (socket: Socket, lane) => {
        if (this.#attempt !== attempt) return;
        this.#lane = lane;
        this.#call((core) => core.open(now(), socket as unknown as WebSocket, token, token === source));
      },
      receive: (text) => {
        if (this.#attempt === attempt) this.#call((core) => core.receive(now(), text));
      },
      lost: (reason, code) => {
        if (this.#attempt !== attempt) return;
        this.#attempt = this.#hangUp = undefined;
        this.#leaveLane();
        this.#closeCode = code;
        this.#call((core) => core.lost(now(), code ?? 0, reason));
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
    if (typeof source === "function") this.#obtain(source, (token) => this.#call((core) => core.token(now(), token)));
  }

  /** Asks the application for a token, and says what comes of it, unless the connection that it is for has ended. */
  #obtain(source: () => string | Promise<string>, take: (token: string) => void): void {
    const attempt = this.#attempt;
    const ask = async (): Promise<string> => {
      const given: unknown = await source();
      if (typeof given === "string") return given;
      throw new TypeError(`the function for it returned ${typeof given}, not a string`);
    };
    ask().then(
      (token) => {
        if (this.#attempt === attempt) take(token);
      },
      (error: unknown) => {
        if (this.#attempt !== attempt) return;
        this.#thrown = error;
        this.#call((core) => core.no_token(now(), textOf(error), error instanceof UnauthorizedError));
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

  #clearLane(): void {
    for (const subscription of this.#subscriptions.values()) this.#lane?.remove(subscription);
  }

  #leaveLane(): void {
    this.#clearLane();
    this.#lane = undefined;
  }

  #event(name: string, text: string, number: number, serverCode: string): void {
    switch (name) {
      case "connecting":
        // The broker holds nothing any more when that is because the token has ended.
        later(() => this.#clearLane());
        return this.#setState("connecting");
      case "open":
        // First of all, so that what waits for it goes out before what a listener asks for.
        this.#noteTried();
        if (this.#lane) for (const subscription of this.#subscriptions.values()) later(() => this.#lane?.add(subscription));
        this.#setState("open");
        this.#settleReady.resolve();
        return this.#events.emit("open", { resumed: number === 1 });
      case "waiting":
        this.#noteTried();
        this.#setState("waiting");
        return this.#events.emit("close", { ...this.#code(), reason: text, retryInMs: Math.round(number) });
      case "closed":
      case "auth": {
        const error = this.#errorOf(name, text, serverCode);
        return later(() => this.#ended(error));
      }
      case "dropped":
        return this.#tellDropped(number);
      case "discarded":
        return this.#error("discarded", `${number} publishes that were kept for the next connection are discarded`);
      case "no-token":
        return this.#error("auth", text, serverCode);
      default:
        return this.#error(name as Code, text, serverCode);
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

  #revoked(tags: string[], text: string, serverCode: string): void {
    const revoked = [...this.#subscriptions.values()].filter(({ tags: held }) => isSame(held, tags));
    for (const subscription of revoked) this.#endSubscription(subscription, new MistError("revoked", text, undefined, serverCode));
    this.#error("revoked", `the broker does not hold the subscription to ${tags.join(", ")} any more: ${text}`, serverCode);
  }

  /** Calls the core, then sees to its timer. */
  #call<T>(call: (core: CoreClient) => T): T | undefined {
    const core = this.#core;
    if (!core) return undefined;
    const result = enter(() => call(core));
    if (!this.#isTimed) {
      // Once for all that is asked in one go.
      this.#isTimed = true;
      queueMicrotask(() => this.#setTimer());
    }
    return result;
  }

  #setTimer(): void {
    this.#isTimed = false;
    clearTimeout(this.#timer);
    const core = this.#core;
    if (!core) return;
    const due = enter(() => core.timeout(now()));
    if (due >= 0) this.#timer = setTimeout(() => this.#setTimer(), Math.min(due, 0x7fffffff));
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
        if (subscription.set < 0) return;
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
    this.#unnumbered.add(subscription);
    this.#soon(() => this.#subscribe(subscription));
    return subscription;
  }

  #subscribe(subscription: LocalSubscription): void {
    if (!this.#unnumbered.delete(subscription)) return;
    const numbers = this.#call((core) => {
      const numbers = core.subscribe(now(), [...subscription.tags]);
      const [number, request] = numbers;
      // Both before anything that was put off is done: an answer may be among it.
      if (number !== undefined && request !== undefined) {
        subscription.number = number;
        this.#subscriptions.set(number, subscription);
        // Not before the answer: until then the number of the set may be that of another.
        this.#await(request, () => this.#lane?.add(subscription)).then(
          () => this.#subscribed(subscription),
          (error: Error) => this.#refused(subscription, error),
        );
      }
      return numbers;
    });
    if (numbers?.length === 0) subscription.end(this.#failed());
  }

  #subscribed(subscription: LocalSubscription): void {
    subscription.settle();
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
    this.#unnumbered.delete(subscription);
    this.#endSubscription(subscription, new MistError("unsubscribed", "unsubscribed before the broker acknowledged it"));
    if (number === 0) return;
    await this.#ask((core) => core.unsubscribe(now(), number)).catch((error: unknown) => {
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
    // Nobody need wait for it, and what can become of it however right it is must not end a program.
    if (!options?.ack) published.catch((error: MistError) => this.#events.emit("error", error));
    return published;
  }

  async #publish(names: string[], text: string, data: unknown, options: PublishOptions = {}): Promise<Receipt> {
    this.#checkOpen();
    options.signal?.throwIfAborted();
    if (!this.#hasTried) await this.#tried();
    if (options.ack) {
      const { count } = await this.#ask((core) => core.publish_acked(now(), names, text), options, data);
      return { delivered: count };
    }
    if (!this.#carry(data, () => this.#call((core) => core.publish(now(), names, text)))) throw this.#failed();
    return {};
  }

  async publishAll(messages: readonly Outgoing[]): Promise<void> {
    if (!Array.isArray(messages)) {
      throw new MistError("invalid-argument", 'messages are given as an array, such as [{tags: ["a"], data: "b"}]');
    }
    if (this.#state === "open" && this.#lane?.publishAll(messages)) return;
    const checked = messages.map((message: Outgoing | undefined) => {
      const { tags, data } = message ?? {};
      // Inside a page data need not have a text.
      if (!this.#lane) textOfData(data);
      return { tags: namesOf(tags, "publish"), data };
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
    await this.#request("ping", [], "", options);
    return now() - start;
  }

  async list(options?: RequestOptions): Promise<string[][]> {
    return (await this.#request("list", [], "", options)).sets as string[][];
  }

  async command(name: string, data = "", tags: readonly TagLike[] = [], options?: RequestOptions): Promise<Reply> {
    if (typeof data !== "string") {
      throw new MistError("invalid-argument", `a command's data is a string, not ${typeof data}: encode it, say as JSON`);
    }
    const { tags: answered, data: text } = await this.#request(name, listOf(tags).map(nameOf), data, options);
    return { tags: answered, data: text };
  }

  #makeAdmin(): Admin {
    const change = (command: string) => async (token: string, tags: readonly TagLike[], options: GrantOptions = {}) => {
      const { rights = "both", ttl = 0 } = options;
      if (!["subscribe", "publish", "both"].includes(rights)) {
        throw new MistError("invalid-argument", `rights are "subscribe", "publish" or "both", not "${String(rights)}"`);
      }
      if (!Number.isSafeInteger(ttl) || ttl < 0) {
        throw new MistError("invalid-argument", `ttl is a whole number of seconds, not ${String(ttl)}`);
      }
      await this.#request(command, listOf(tags).map(nameOf), checkToken(token), options, rights, ttl);
    };
    return {
      register: change("register"),
      unregister: (token, options) => change("unregister")(token, [], options),
      end: (token, options) => change("end")(token, [], options),
      set: change("set"),
      unset: change("unset"),
      tags: async (token, options) => (await this.#request("tags", [], checkToken(token), options)).tags,
      who: async (options) => {
        const { count, subscribers } = await this.#request("who", [], "", options);
        return { connections: count, subscribers };
      },
      listAll: async (options) => (await this.#request("listall", [], "", options)).sets as string[],
    };
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

  async #request(
    command: string,
    tags: string[],
    data: string,
    options?: RequestOptions,
    rights = "",
    ttl = 0,
  ): Promise<Answer> {
    this.#checkOpen();
    if (typeof command !== "string" || command === "") {
      throw new MistError("invalid-argument", "a command's name is a string that is not empty");
    }
    this.#lane?.check(command, tags, data, true);
    return this.#ask((core) => core.request(now(), command, tags, data, rights, ttl), options);
  }

  /** Asks the core for something that is answered. */
  async #ask(ask: (core: CoreClient) => number, options: RequestOptions = {}, data?: unknown): Promise<Answer> {
    const { signal } = options;
    if (!this.#hasTried) await this.#tried();
    signal?.throwIfAborted();
    let number = 0;
    let answer: Promise<Answer> | undefined;
    this.#carry(data, () =>
      this.#call((core) => {
        number = ask(core);
        // Before anything that was put off is done: the answer may be among it.
        if (number !== 0) answer = this.#await(number);
      }),
    );
    if (!answer) throw this.#failed();
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

  #failed(): MistError {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure ?? this.#closed ?? new MistError("closed", "the client is closed: make another");
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closed;
  }

  /** Does something once the core is loaded. */
  #soon(verb: () => void): void {
    if (this.#core) verb();
    else this.#early.push(verb);
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
    const core = this.#core;
    if (core) this.#call((core) => core.close());
    else this.#ended(error);
  }

  /** Lets go of everything, once the core has said that this is the end. */
  #ended(error: MistError): void {
    if (this.#state === "closed") return;
    this.#closed ??= error.code === "auth" ? error : new MistError("closed", `the client is closed (${error.message}): make another`);
    this.#leaveLane();
    for (const subscription of [...this.#subscriptions.values(), ...this.#unnumbered]) subscription.end(this.#closed);
    this.#subscriptions.clear();
    this.#unnumbered.clear();
    this.#setState("closed");
    this.#settleReady.reject(this.#signal?.aborted ? this.#signal.reason : this.#closed);
    if (error.code === "auth") this.#events.emit("error", error);
    this.#events.emit("close", { ...this.#code(), reason: error.message });
    this.#unwatch?.();
    this.#unlisten?.();
    this.#onClosed(this);
    this.#noteTried();
    for (const verb of this.#early.splice(0)) verb();
    // After what the core still wants done: its last words go out before the connection does.
    later(() => {
      clearTimeout(this.#timer);
      const core = this.#core;
      this.#core = undefined;
      this.#gone = this.#giveUp() ?? this.#gone;
      core?.free();
    });
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

function checkToken(token: string): string {
  if (typeof token === "string") return token;
  throw new MistError("invalid-argument", `a token is a string, not ${typeof token}`);
}
