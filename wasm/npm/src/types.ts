/**
 * The face of the package: what an application sees of clients and brokers, wherever they run. It names nothing that
 * only a page or only Node declares, so that it compiles in both.
 */

/** The key of `using`, where the project's `lib` knows it. */
type DisposeKey = Extract<SymbolConstructor["dispose" & keyof SymbolConstructor], symbol>;

/** What `using` ends, by its method `Symbol.dispose`. It is there for projects whose `lib` has `esnext.disposable`. */
export type Disposing = { [K in DisposeKey]: () => void };

/** What is needed of a port: of a MessagePort in a page or of `node:worker_threads`, or of a worker's own `self`. */
export interface PortLike {
  /** Set here, by whoever is given the port. Not every declaration of Node's ports has it; all of them do. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- pages and Node declare other events.
  onmessage?: any;
  postMessage(message: unknown): void;
  close(): void;
  /** Where there is a `close` event, the end of the other side is known by it. */
  addEventListener?(type: "close", listener: () => void): void;
  removeEventListener?(type: "close", listener: () => void): void;
}

/** A tag's name, or a handle for it from {@link Client.tag}. */
export type TagLike = string | Tag;

/** How a client stands with its broker. */
export type State = "connecting" | "open" | "waiting" | "closed";

/**
 * A tag, looked up once. Publishing with handles instead of strings spares the look-up each time.
 * A handle is good for all clients of one broker, and for strings everywhere else.
 */
export interface Tag {
  readonly name: string;
}

/** A message, as a subscription gets it. All its receivers in one page share it: do not change it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as JSON.parse has it: only the application knows.
export interface Message<T = any> {
  /** The message's tags, sorted, without duplicates. */
  readonly tags: readonly string[];
  /**
   * The data. From a server it is a string, as it was sent. Inside a page it is what was published: a string as it
   * is, any other value as a structured clone made when it was published. What has no JSON, such as bytes, a Map or a
   * cycle, can be published inside a page only: not to a port, and not with `ack`.
   */
  readonly data: T | string;
  /** The data as a string: a string as it is, any other value as JSON. Empty when there is none. */
  readonly text: string;
  /**
   * The data as a value, the same from a server and inside a page: JSON is parsed.
   * @throws {@link MistError} `invalid-data` when the data is a string that is not JSON.
   */
  json(): T;
}

/** What is called with each message of a subscription. What it throws or rejects with goes to `reportError`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
export type Handler<T = any> = (message: Message<T>, subscription: Subscription<T>) => unknown;

/**
 * One subscription of a client. Iterate over it, or give a handler, or both. Iterating ends with the subscription; it
 * fails when nobody wanted that: refused, revoked, or the client's token refused.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
export interface Subscription<T = any> extends AsyncIterable<Message<T>>, Disposing {
  /** The tags, sorted, without duplicates. */
  readonly tags: readonly string[];
  /**
   * Settles once the broker has acknowledged the subscription, or refused it. While there is no connection it waits.
   * Ignoring it is fine: a refusal is also an `error` event of the client.
   */
  readonly ready: Promise<void>;
  /** Whether it has ended: unsubscribed, refused, revoked, or its client closed. */
  readonly closed: boolean;
  /** Messages that were lost because an iterator, or the page, was too slow for them. */
  readonly dropped: number;
  /** Ends the subscription, and its iterators. Ending it again does nothing. */
  unsubscribe(): Promise<void>;
}

/** What a publisher is told. */
export interface Receipt {
  /** How many sessions took the message; only known when it was published with `ack`. */
  readonly delivered?: number;
}

/** How to publish. */
export interface PublishOptions {
  /** Whether to wait for the broker's acknowledgement, which tells how many sessions took the message. */
  ack?: boolean | undefined;
  /** Gives up waiting. The message may be published all the same. */
  signal?: AbortSignal | undefined;
}

/** How to wait for an answer. Before the first connection it is waited for; without one nothing can be asked: `offline`. */
export interface RequestOptions {
  /** Gives up waiting. What was asked for may be done all the same. */
  signal?: AbortSignal | undefined;
}

/** What rights to give or to take, and for how long. */
export interface GrantOptions extends RequestOptions {
  /**
   * What the token may do with the tags.
   * @defaultValue `"both"`
   */
  rights?: "subscribe" | "publish" | "both" | undefined;
  /** The seconds after which the token ends, from now on; without it, it does not end, or when it would anyhow. */
  ttl?: number | undefined;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** Ends the subscription when it is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * How many messages an iterator may fall behind before newer ones are dropped and counted. They are kept from the
   * beginning where there is no handler, otherwise from the first iterator on; all iterators share them.
   * @defaultValue 8192
   */
  buffer?: number | undefined;
}

/** A publisher for one set of tags, checked and looked up once. */
export interface Publisher {
  /** The tags, sorted, without duplicates. */
  readonly tags: readonly string[];
  /** Publishes, as {@link Client.publish}. */
  publish(data: unknown, options: PublishOptions & { ack: true }): Promise<Required<Receipt>>;
  publish(data?: unknown, options?: PublishOptions): Promise<Receipt>;
}

/** One message of a batch. */
export interface Outgoing {
  readonly tags: readonly TagLike[];
  readonly data?: unknown;
}

/** What a custom command is answered with. */
export interface Reply {
  readonly tags: readonly string[];
  readonly data: string;
}

/** How many there are. */
export interface Who {
  /** Connections since the broker began. */
  readonly connections: number;
  /** Connections that hold a subscription now. */
  readonly subscribers: number;
}

/** What an administrator asks. All but `who` and `listAll` need the broker's own token. */
export interface Admin {
  /** Creates a token with its tags. */
  register(token: string, tags: readonly TagLike[], options?: GrantOptions): Promise<void>;
  /** Removes a token. Removing an unknown one succeeds. */
  unregister(token: string, options?: RequestOptions): Promise<void>;
  /** Removes a token, and under scoped access closes the connections that use it. */
  end(token: string, options?: RequestOptions): Promise<void>;
  /** Adds tags to a token, or rights to them, or gives it more time. */
  set(token: string, tags: readonly TagLike[], options?: GrantOptions): Promise<void>;
  /** Removes tags from a token, or rights to them, at once also from the connections that use it. */
  unset(token: string, tags: readonly TagLike[], options?: Omit<GrantOptions, "ttl">): Promise<void>;
  /** The tags of a token, sorted. */
  tags(token: string, options?: RequestOptions): Promise<string[]>;
  /** How many connections there were, and how many subscribers there are. */
  who(options?: RequestOptions): Promise<Who>;
  /** The distinct tags of all subscriptions, sorted. The protocol parts them by blanks: one with blanks comes in pieces. */
  listAll(options?: RequestOptions): Promise<string[]>;
}

/** What a client tells, by name. */
export interface ClientEvents {
  /** The state is another. */
  state: State;
  /**
   * The connection works, and the broker holds every subscription.
   * `resumed` says that the client was open before: what was published in between is missed.
   */
  open: { resumed: boolean };
  /** The connection is lost, or an attempt to connect failed. `retryInMs` is absent when there will be no other. */
  close: { code?: number; reason: string; retryInMs?: number };
  /** Messages were dropped, since this client did not keep up. */
  dropped: { count: number };
  /** Something nobody waits for went wrong: a refused publish, a revoked subscription, a token that cannot be had. */
  error: MistErrorLike;
}

/** What the `error` event carries: a {@link MistError}. */
export type MistErrorLike = Error & { readonly code: Code; readonly serverCode: string | undefined };

/** How to listen for events. */
export interface ListenOptions {
  /** Stops listening when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Listens for one event only. */
  once?: boolean | undefined;
}

/**
 * A client of a broker: of a server, of the broker in this page, or of one in another tab. The same everywhere.
 *
 * Handlers and listeners never run inside a call of yours: they run soon after, in the order of the messages.
 */
export interface Client extends Disposing {
  /** How the client stands with its broker. */
  readonly state: State;
  /** Settles once the client is open for the first time, or closed before. */
  readonly ready: Promise<void>;
  /** The administrator's commands. */
  readonly admin: Admin;

  /**
   * Subscribes to the messages that carry all of `tags`.
   *
   * It is wanted from now on, over lost connections, until it is unsubscribed. `T` is what the messages' data is, as
   * {@link Message.json} gives it: nobody checks that.
   * @throws {@link MistError} `missing-tags`, `invalid-argument`, `closed`.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
  subscribe<T = any>(tags: readonly TagLike[], handler?: Handler<T>, options?: SubscribeOptions): Subscription<T>;

  /**
   * Publishes a message to every other client that holds a subscription all of whose tags are among these.
   *
   * The promise is settled at once; with `ack` when the broker has acknowledged. What is wrong by itself rejects it:
   * `missing-tags`, `invalid-argument`, `invalid-data`. What the broker refuses, over a limit or without a grant, does so
   * with `ack`; otherwise it is an `error` event. Before the first connection it waits for that. Without a connection it is
   * rejected (`offline`), or the message is kept for the next one, as {@link ConnectOptions.offline} has it. Without
   * `ack` the rejection is an `error` event too, and ignoring the promise is fine.
   */
  publish(
    tags: readonly TagLike[],
    data: unknown,
    options: PublishOptions & { ack: true },
  ): Promise<Required<Receipt>>;
  publish(tags: readonly TagLike[], data?: unknown, options?: PublishOptions): Promise<Receipt>;

  /**
   * Publishes many messages in order. Tags and data of all are looked at before the first is published; what the broker
   * refuses is told as for {@link Client.publish} without `ack`.
   */
  publishAll(messages: readonly Outgoing[]): Promise<void>;

  /** Prepares to publish to one set of tags many times. */
  publisher(tags: readonly TagLike[]): Publisher;

  /** Returns the handle for a tag. */
  tag(name: string): Tag;

  /** Asks the broker for a sign of life, and returns how many milliseconds it took. */
  ping(options?: RequestOptions): Promise<number>;

  /** Returns the tag sets this client holds at the broker, sorted. */
  list(options?: RequestOptions): Promise<string[][]>;

  /** Runs a command that the broker's host added. */
  command(name: string, data?: string, tags?: readonly TagLike[], options?: RequestOptions): Promise<Reply>;

  /** Listens for an event; the function returned stops listening. */
  on<K extends keyof ClientEvents>(
    type: K,
    listener: (event: ClientEvents[K]) => unknown,
    options?: ListenOptions,
  ): () => void;

  /** Ends the client: its subscriptions, its iterators, its connection. What waits for an answer is rejected. */
  close(): Promise<void>;
}

/**
 * Where a client's token comes from. A function is asked at every attempt to connect, and again before the token ends. What
 * it throws is an `error` event, and it is asked again after a second at least; with an {@link UnauthorizedError} the
 * client closes.
 */
export type TokenSource = string | (() => string | Promise<string>);

/** When to try again after a connection is lost. Each wait is random between nothing and a bound that doubles. */
export interface RetryOptions {
  /** The first bound, in milliseconds. @defaultValue 500 */
  minMs?: number | undefined;
  /** The largest bound, in milliseconds. @defaultValue 20000 */
  maxMs?: number | undefined;
}

/** What happens to a publish while there is no connection. */
export type Offline =
  | "reject"
  | {
      /** Messages kept at most. @defaultValue 1000 */
      messages?: number | undefined;
      /** Bytes kept at most. @defaultValue 1048576 */
      bytes?: number | undefined;
      /** How long one may wait, in milliseconds, before it is discarded. @defaultValue 60000 */
      maxAgeMs?: number | undefined;
    };

/** How to connect. */
export interface ConnectOptions {
  /** The token, or what gives it. A string ends the client when it is refused, or when it ends. */
  token?: TokenSource | undefined;
  /** When to try again; `false` never. */
  retry?: RetryOptions | false | undefined;
  /**
   * After how many milliseconds without a message to ask the server for a sign of life; 0 never.
   * @defaultValue 25000
   */
  heartbeatMs?: number | undefined;
  /** How long to wait for a connection, an answer, or a sign of life, in milliseconds. @defaultValue 10000 */
  timeoutMs?: number | undefined;
  /** What happens to a publish while there is no connection. @defaultValue "reject" */
  offline?: Offline | undefined;
  /** Closes the client when it is aborted. */
  signal?: AbortSignal | undefined;
  /** The WebSocket to use where there is none, such as that of the package `ws`. */
  webSocket?: (new (url: string, protocols?: string | string[]) => WebSocketLike) | undefined;
}

/** What is needed of a WebSocket. */
export interface WebSocketLike {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** What a {@link MistError} is about. */
export type Code =
  /** `subscribe` or `publish` without tags. */
  | "missing-tags"
  /** An argument of the wrong type. */
  | "invalid-argument"
  /** Not a URL of a broker. */
  | "invalid-url"
  /** Data that cannot be sent, or is not what was asked for. */
  | "invalid-data"
  /** Over a limit. */
  | "too-large"
  /** The broker said no. */
  | "refused"
  /** There is no valid token: the broker refused it, or the function for it failed. */
  | "auth"
  /** No answer in time. */
  | "timeout"
  /** Without a connection. */
  | "offline"
  /** The connection was lost before the answer came. */
  | "connection-lost"
  /** The buffer for publishes without a connection is full. */
  | "buffer-full"
  /** Unsubscribed before it was acknowledged. */
  | "unsubscribed"
  /** The broker does not hold the subscription any more. */
  | "revoked"
  /** The client or the broker is closed. */
  | "closed"
  /** The broker sent something that cannot be read. */
  | "unreadable"
  /** Publishes that were kept for the next connection are discarded. */
  | "discarded"
  /** This place has no WebSocket, no WebAssembly, no SharedWorker and no locks, or does not allow them. */
  | "unsupported";

/** What a broker in this page is to be. */
export interface BrokerOptions {
  /** The token that makes a client an administrator, as a server's `--token`. With it, tokens can be registered. */
  token?: string | undefined;
  /** Who may publish and subscribe: anybody, or those who present a token. @defaultValue "open" */
  access?: "open" | "scoped" | undefined;
  /** Limits by their names, such as `{"message-bytes": 65536}`; the same as a server's. */
  limits?: Readonly<Record<string, number>> | undefined;
  /** For a broker whose every choice can be repeated. Random by default, as it should be. */
  seed?: bigint | undefined;
}

/** How to be a client of the broker in this page. */
export interface LocalOptions {
  /** The token, or what gives it: the broker's own, or a registered one. */
  token?: TokenSource | undefined;
  /** Closes the client when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * What the broker of all tabs is to be. The first tab says it; another says the same, or leaves it out. Where there is no
 * worker and the tab that has the broker is closed, the next makes it as it was.
 */
export interface SharedOptions extends Omit<BrokerOptions, "seed"> {
  /**
   * Makes the SharedWorker, where a bundler or a policy wants it in a certain form. `false`: none, one of the tabs has
   * the broker.
   */
  worker?: ((name: string) => { readonly port: PortLike }) | false | undefined;
}

/** The broker of all tabs, from one of them. */
export interface SharedBroker extends Disposing {
  /** Where it lives now: in a worker, in this very tab, or in another. */
  readonly place: "worker" | "here" | "other-tab";
  /** Makes a client of it. */
  client(options?: LocalOptions): Client;
  /** Joins it with another broker, through this tab and with the token that it gave. */
  bridge(upstream: Client, options: BridgeOptions): Bridge;
  /** Ends this tab's clients, and makes no more. The broker goes on for the others. */
  close(): Promise<void>;
}

/** What passes over a {@link Bridge}: tag sets, each as in `subscribe`. */
export interface BridgeOptions {
  /** Messages of the page with all tags of one of these sets are published to the other side too. */
  up?: readonly (readonly TagLike[])[] | undefined;
  /** Messages of the other side with all tags of one of these sets are published in the page too. */
  down?: readonly (readonly TagLike[])[] | undefined;
  /** Ends the bridge when it is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * Hears of a message that cannot pass, such as a value of the page that is not JSON; the bridge goes on. Without it
   * that is an uncaught error, which ends a Node process.
   */
  onError?: ((error: unknown) => void) | undefined;
}

/** A broker in this page and another broker, joined. */
export interface Bridge extends Disposing {
  /** Settles once both sides have acknowledged every set. */
  readonly ready: Promise<void>;
  /** Ends the bridge. The upstream client stays open: it is yours. */
  close(): Promise<void>;
}

/** One custom command's call. */
export interface CommandCall {
  readonly command: string;
  readonly tags: readonly string[];
  readonly data: string;
}

/**
 * Answers a custom command: with data, with `{ tags, data }`, or with nothing; data that is not a string goes as JSON.
 * What it throws is the error's text. Until it is settled the client's later messages wait.
 */
export type CommandHandler = (call: CommandCall) => unknown;

/** Figures of a broker. */
export interface BrokerStats {
  /** Clients connected now. */
  readonly sessions: number;
  /** Clients since the start. */
  readonly sessionsTotal: number;
  /** Clients that hold a subscription now. */
  readonly subscribers: number;
  /** Distinct subscriptions held now. */
  readonly subscriptions: number;
  /** Messages published in this page since the start. */
  readonly published: number;
  /** Messages handed to subscriptions of this page since the start, each counted for each. */
  readonly delivered: number;
  /** The same that were dropped, since the page did not let its handlers run. */
  readonly dropped: number;
  /** Bytes of WebAssembly memory, of all brokers in this page. */
  readonly memoryBytes: number;
}
