/**
 * The public interface of the package: clients and brokers as an application sees them, wherever they run. It uses no
 * declaration that only pages or only Node have, so that it compiles in both.
 */

/** The key of `using`, where the project's `lib` knows it. */
type DisposeKey = Extract<SymbolConstructor["dispose" & keyof SymbolConstructor], symbol>;

/** Can be ended by `using`, with its method `Symbol.dispose`, in projects whose `lib` has `esnext.disposable`. */
export type Disposing = { [K in DisposeKey]: () => void };

/** The required interface of a port: a MessagePort of a page or of `node:worker_threads`, or a worker's own `self`. */
export interface PortLike {
  /** Set by the package. Not every declaration of Node's ports has it; all of the ports do. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- pages and Node declare other events.
  onmessage?: any;
  postMessage(message: unknown): void;
  close(): void;
  /** A `close` event, where there is one, reports the end of the other side. */
  addEventListener?(type: "close", listener: () => void): void;
  removeEventListener?(type: "close", listener: () => void): void;
}

/** A tag's name, or a handle for it from {@link Client.tag}. */
export type TagLike = string | Tag;

/** The state of a client's connection. */
export type State = "connecting" | "open" | "waiting" | "closed";

/**
 * A tag that was looked up once. Publishing with handles instead of strings saves further look-ups.
 * A handle works for all clients of one broker; elsewhere it is treated as its name.
 */
export interface Tag {
  readonly name: string;
}

/** A received message. All its receivers in one page share it: do not change it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as JSON.parse has it: only the application knows.
export interface Message<T = any> {
  /** The message's tags, sorted, without duplicates. */
  readonly tags: readonly string[];
  /**
   * The data. From a server it is a string, as it was sent. Inside a page it is the published value: a string as it
   * is, any other value as a structured clone made when it was published. Values without a JSON form, such as bytes, a Map
   * or a cycle, can only be published inside a page: not to a port, and not with `ack`.
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

/** Called with each message of a subscription. Its exceptions and rejections go to `reportError`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
export type Handler<T = any> = (message: Message<T>, subscription: Subscription<T>) => unknown;

/**
 * One subscription of a client. Iterate over it, or give a handler, or both. Iterating ends with the subscription; it
 * fails if the end was not requested: refused, revoked, or the client's token refused.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
export interface Subscription<T = any> extends AsyncIterable<Message<T>>, Disposing {
  /** The tags, sorted, without duplicates. */
  readonly tags: readonly string[];
  /**
   * Settles once the broker has acknowledged the subscription, or refused it. Without a connection it waits.
   * You may ignore it: a refusal is also an `error` event of the client.
   */
  readonly ready: Promise<void>;
  /** Whether it has ended: unsubscribed, refused, revoked, or its client closed. */
  readonly closed: boolean;
  /** Messages that were lost because an iterator, or the page, was too slow for them. */
  readonly dropped: number;
  /** Ends the subscription, and its iterators. Ending it again does nothing. */
  unsubscribe(): Promise<void>;
}

/** The result of publishing. */
export interface Receipt {
  /** How many sessions received the message; only known if it was published with `ack`. */
  readonly delivered?: number;
  /** How many other nodes the message was handed to; only known with `ack`, from a server of a cluster. */
  readonly nodes?: number;
}

/** How to publish. */
export interface PublishOptions {
  /** Whether to wait for the broker's acknowledgement, which says how many sessions received the message. */
  ack?: boolean | undefined;
  /** Aborts the waiting. The message may be published nevertheless. */
  signal?: AbortSignal | undefined;
}

/** How to wait for an answer. A request waits for the first connection; without a later one it fails with `offline`. */
export interface RequestOptions {
  /** Aborts the waiting. The request may be carried out nevertheless. */
  signal?: AbortSignal | undefined;
}

/** Which rights to grant or revoke, and for how long. */
export interface GrantOptions extends RequestOptions {
  /**
   * The token's rights to the tags.
   * @defaultValue `"both"`
   */
  rights?: "subscribe" | "publish" | "both" | undefined;
  /** The seconds after which the token ends, from now on, or `"never"`; without it, it does not end, or when it would anyhow. */
  ttl?: number | "never" | undefined;
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

/** A publisher for one set of tags, which is checked and looked up only once. */
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

/** The answer to a custom command. */
export interface Reply {
  readonly tags: readonly string[];
  readonly data: string;
}

/** Numbers of connections. */
export interface Who {
  /** Connections since the broker started. */
  readonly connections: number;
  /** Connections that hold a subscription now. */
  readonly subscribers: number;
  /** How many nodes these are the figures of; only known from a server of a cluster. */
  readonly nodes?: number;
}

/** The administrator's commands. All but `who` and `listAll` need the broker's own token. */
export interface Admin {
  /** Creates a token with its tags. */
  register(token: string, tags: readonly TagLike[], options?: GrantOptions): Promise<void>;
  /** Removes a token. Removing an unknown one succeeds. */
  unregister(token: string, options?: RequestOptions): Promise<void>;
  /** Removes a token, and under scoped access closes the connections that use it. */
  end(token: string, options?: RequestOptions): Promise<void>;
  /** Adds tags to a token, or rights to them, or sets when it ends. */
  set(token: string, tags: readonly TagLike[], options?: GrantOptions): Promise<void>;
  /** Removes tags from a token, or rights to them, at once and also from open connections. */
  unset(token: string, tags: readonly TagLike[], options?: Omit<GrantOptions, "ttl">): Promise<void>;
  /** The tags of a token, sorted. */
  tags(token: string, options?: RequestOptions): Promise<string[]>;
  /** How many connections there were, and how many subscribers there are. */
  who(options?: RequestOptions): Promise<Who>;
  /** The distinct tags of all subscriptions, sorted. The protocol separates them by blanks, and splits those with blanks. */
  listAll(options?: RequestOptions): Promise<string[]>;
}

/** The events of a client, by name. */
export interface ClientEvents {
  /** The state has changed. */
  state: State;
  /**
   * The connection works, and the broker holds every subscription.
   * `resumed`: the client was open before, and messages published in between are lost.
   */
  open: { resumed: boolean };
  /**
   * The connection is lost, or an attempt to connect failed. `retryInMs` is absent if there will be no other, and `code` if
   * there was no connection, or the application closed the client.
   */
  close: { code?: number; reason: string; retryInMs?: number };
  /** Messages were dropped, since this client did not keep up. */
  dropped: { count: number };
  /** An error without a promise: a refused publish, a revoked subscription, a token that could not be obtained. */
  error: MistErrorLike;
}

/** The value of an `error` event: a {@link MistError}. */
export type MistErrorLike = Error & { readonly code: Code; readonly serverCode: string | undefined };

/** How to listen for events. */
export interface ListenOptions {
  /** Stops listening when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Listens for one event only. */
  once?: boolean | undefined;
}

/**
 * A client of a broker: of a server, of the broker in this page, or of one in another tab, with the same interface.
 *
 * Handlers and listeners never run inside your calls: they run soon after, in the order of the messages.
 */
export interface Client extends Disposing {
  /** The state of the connection. */
  readonly state: State;
  /** Settles once the client is open for the first time, or is closed before that. */
  readonly ready: Promise<void>;
  /** The administrator's commands. */
  readonly admin: Admin;

  /**
   * Subscribes to the messages that carry all of `tags`.
   *
   * The subscription lasts until it is unsubscribed, and is restored after lost connections. `T` is the type that
   * {@link Message.json} returns; it is not checked.
   * @throws {@link MistError} `missing-tags`, `invalid-argument`, `closed`.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in Message.
  subscribe<T = any>(tags: readonly TagLike[], handler?: Handler<T>, options?: SubscribeOptions): Subscription<T>;

  /**
   * Publishes a message to every other client that holds a subscription all of whose tags are among these.
   *
   * The promise is settled at once; with `ack` once the broker has acknowledged. Wrong arguments reject it:
   * `missing-tags`, `invalid-argument`, `invalid-data`. A refusal by the broker, over a limit or without a grant, rejects it
   * with `ack`; otherwise it is an `error` event. It waits for the first connection. Without a later connection it is
   * rejected (`offline`), or the message is kept for the next one, depending on {@link ConnectOptions.offline}. Without
   * `ack` the rejection is an `error` event as well, and you may ignore the promise.
   */
  publish(
    tags: readonly TagLike[],
    data: unknown,
    options: PublishOptions & { ack: true },
  ): Promise<Required<Receipt>>;
  publish(tags: readonly TagLike[], data?: unknown, options?: PublishOptions): Promise<Receipt>;

  /**
   * Publishes many messages in order. Tags and data of all are checked before the first is published; refusals by the
   * broker are reported as for {@link Client.publish} without `ack`.
   */
  publishAll(messages: readonly Outgoing[]): Promise<void>;

  /** Prepares to publish to one set of tags many times. */
  publisher(tags: readonly TagLike[]): Publisher;

  /** Returns the handle for a tag. */
  tag(name: string): Tag;

  /** Pings the broker, and returns the time in milliseconds. */
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

  /** Ends the client: its subscriptions, its iterators, its connection. Pending requests are rejected. */
  close(): Promise<void>;
}

/**
 * The source of a client's tokens. A function is called at every attempt to connect, and again before the token expires.
 * Its exceptions are `error` events, and it is called again after at least a second; an {@link UnauthorizedError} closes the
 * client.
 */
export type TokenSource = string | (() => string | Promise<string>);

/** When to try again after a connection is lost. Each wait is random between zero and a bound that doubles. */
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
  /** The token, or a function that returns it. With a string the client ends if the token is refused or expires. */
  token?: TokenSource | undefined;
  /** When to try again; `false`: never. */
  retry?: RetryOptions | false | undefined;
  /**
   * After how many milliseconds without a message to ping the server; 0: never.
   * @defaultValue 25000
   */
  heartbeatMs?: number | undefined;
  /** How long to wait for a connection, an answer or a pong, in milliseconds. @defaultValue 10000 */
  timeoutMs?: number | undefined;
  /** What happens to a publish while there is no connection. @defaultValue "reject" */
  offline?: Offline | undefined;
  /** Closes the client when it is aborted. */
  signal?: AbortSignal | undefined;
  /** The class of WebSockets where there is none, such as that of the package `ws`. */
  webSocket?: (new (url: string, protocols?: string | string[]) => WebSocketLike) | undefined;
}

/** The required interface of a WebSocket. */
export interface WebSocketLike {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** The kind of a {@link MistError}. */
export type Code =
  /** `subscribe` or `publish` without tags. */
  | "missing-tags"
  /** An argument of the wrong type. */
  | "invalid-argument"
  /** Not a URL of a broker. */
  | "invalid-url"
  /** Data that cannot be sent, or an answer of the wrong form. */
  | "invalid-data"
  /** Over a limit. */
  | "too-large"
  /** The broker refused. */
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
  /** Publishes that were kept for the next connection were discarded. */
  | "discarded"
  /** The environment lacks WebSocket, WebAssembly, SharedWorker or locks, or does not allow them. */
  | "unsupported";

/** The options of a broker in this page. */
export interface BrokerOptions {
  /** The token that makes a client an administrator, as a server's `--token`. With it, tokens can be registered. */
  token?: string | undefined;
  /** Who may publish and subscribe: every client, or only those with a token. @defaultValue "open" */
  access?: "open" | "scoped" | undefined;
  /** Limits by their names, such as `{"message-bytes": 65536}`; the same as a server's. */
  limits?: Readonly<Record<string, number>> | undefined;
  /** Makes the broker's random choices repeatable. Random by default, as it should be. */
  seed?: bigint | undefined;
}

/** How to be a client of the broker in this page. */
export interface LocalOptions {
  /** The token, or a function that returns it: the broker's own, or a registered one. */
  token?: TokenSource | undefined;
  /** Closes the client when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * The options of the broker of all tabs. The first tab sets them; others give the same ones, or none. If there is no worker
 * and the tab with the broker is closed, another tab makes it again with the same options.
 */
export interface SharedOptions extends Omit<BrokerOptions, "seed"> {
  /**
   * Makes the SharedWorker, if a bundler or a policy requires a certain form. `false`: none, one of the tabs has the
   * broker.
   */
  worker?: ((name: string) => { readonly port: PortLike }) | false | undefined;
}

/** The broker of all tabs, from one of them. */
export interface SharedBroker extends Disposing {
  /** Where it lives now: in a worker, in this very tab, or in another. */
  readonly place: "worker" | "here" | "other-tab";
  /** Makes a client of it. */
  client(options?: LocalOptions): Client;
  /** Connects it with another broker, through this tab and with the token it gave. */
  bridge(upstream: Client, options: BridgeOptions): Bridge;
  /** Ends this tab's clients, and makes no more. The broker goes on for other tabs. */
  close(): Promise<void>;
}

/** Which messages pass a {@link Bridge}: tag sets, each as in `subscribe`. */
export interface BridgeOptions {
  /** Messages of the page with all tags of one of these sets are published to the other side too. */
  up?: readonly (readonly TagLike[])[] | undefined;
  /** Messages of the other side with all tags of one of these sets are published in the page too. */
  down?: readonly (readonly TagLike[])[] | undefined;
  /** Ends the bridge when it is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * Called for a message that cannot pass, such as a value of the page that is not JSON; the bridge goes on. Without it
   * this is an uncaught error, which ends a Node process.
   */
  onError?: ((error: unknown) => void) | undefined;
}

/** A connection between a broker in this page and another broker. */
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
 * Answers a custom command: with data, with `{ tags, data }`, or with nothing; data that is not a string is sent as
 * JSON. An exception becomes the error's text. The client's later messages wait until the answer is settled.
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
  /** Those of them that were dropped, since the page did not let its handlers run. */
  readonly dropped: number;
  /** Bytes of WebAssembly memory: none as long as the broker needs no WebAssembly. */
  readonly memoryBytes: number;
}
