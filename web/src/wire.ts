/** Owns the clients the board talks through, in this page or to a server. It does not know what a subscriber is. */

import { Broker, connect, MistError, type Client, type Handler, type MistErrorLike, type State, type Subscription } from "mist-pubsub";

/** Where the broker is. */
export type Place = { readonly kind: "page" } | { readonly kind: "server"; readonly url: string; readonly token: string };

/** How the board stands with its broker. */
export interface Standing {
  readonly place: Place;
  readonly phase: State;
  /** Why there is no connection; empty when there is one. */
  readonly reason: string;
  /** When it is tried again, as `performance.now()` has it. */
  readonly retryAt: number | undefined;
  /** Whether other tabs have the same broker in this page. */
  readonly shared: boolean;
}

/** A broker in this page, or the one of all its tabs. */
interface Local {
  client(): Client;
}

interface Want {
  readonly tags: readonly string[];
  readonly handler: Handler;
  /** Hears why the broker does not hold the subscription; of nothing while it may. */
  readonly refused: (why: string) => void;
  subscription?: Subscription;
}

/** The pauses between attempts: somebody is looking. */
const retry = { minMs: 250, maxMs: 2000 };

/**
 * Two clients of one broker: one publishes, one subscribes, since a broker never sends a message back to the client it
 * is from. Everything above is the same for a broker in this page and for a server.
 */
export class Wire {
  #standing: Standing = { place: { kind: "page" }, phase: "closed", reason: "", retryAt: undefined, shared: false };
  #publisher: Client | undefined;
  #subscriber: Client | undefined;
  readonly #wants = new Map<string, Want>();
  #attempt = 0;
  #broker: Promise<{ broker: Local; shared: boolean }> | undefined;
  readonly #stands: (standing: Standing) => void;
  readonly #complain: (text: string) => void;

  constructor(stands: (standing: Standing) => void, complain: (text: string) => void) {
    this.#stands = stands;
    this.#complain = complain;
  }

  /** How things stand. */
  get standing(): Standing {
    return this.#standing;
  }

  /** Leaves the broker there was for this one. Going to the same place again is trying again at once. */
  async go(place: Place): Promise<void> {
    const attempt = this.#leave();
    this.#stand({ place, phase: "connecting", reason: "", retryAt: undefined, shared: false });
    try {
      const make = place.kind === "page" ? await this.#local() : remote(place.url, place.token);
      if (attempt !== this.#attempt) return;
      this.#publisher = make();
      this.#subscriber = make();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#stand({ phase: "closed", reason: reasonOf(error) });
      return;
    }
    for (const client of [this.#publisher, this.#subscriber]) this.#follow(client, attempt);
    for (const want of this.#wants.values()) this.#subscribe(want);
  }

  /** Subscribes under a name, here and wherever the board goes next. */
  want(name: string, tags: readonly string[], handler: Handler, refused: (why: string) => void = ignore): void {
    this.unwant(name);
    const want: Want = { tags, handler, refused };
    this.#wants.set(name, want);
    this.#subscribe(want);
  }

  /** Ends what was subscribed under a name. */
  unwant(name: string): void {
    const want = this.#wants.get(name);
    want?.subscription?.unsubscribe().catch(ignore);
    want?.refused("");
    this.#wants.delete(name);
  }

  /** Publishes, and returns once the broker has taken it and all that it delivered here has arrived. */
  async publish(tags: readonly string[], text: string): Promise<void> {
    const [publisher, subscriber] = [this.#publisher, this.#subscriber];
    if (!publisher) throw new MistError("offline", this.#standing.reason || "there is no connection yet");
    const { delivered } = await publisher.publish(tags, text, { ack: true });
    // The pong comes behind everything that was delivered before.
    if (delivered > 0) await subscriber?.ping();
  }

  #subscribe(want: Want): void {
    if (!this.#subscriber || this.#subscriber.state === "closed") return;
    try {
      const subscription = this.#subscriber.subscribe(want.tags, want.handler);
      want.subscription = subscription;
      subscription.ready.catch((error: unknown) => {
        const isRefused = error instanceof MistError && error.code === "refused";
        if (isRefused && want.subscription === subscription) this.#refused(want, error);
      });
    } catch (error) {
      this.#complain(`Not subscribed: ${reasonOf(error)}.`);
    }
  }

  #follow(client: Client, attempt: number): void {
    const current = (): boolean => attempt === this.#attempt;
    client.ready.catch(ignore);
    client.on("close", ({ reason, retryInMs }) => {
      if (!current()) return;
      const retryAt = retryInMs === undefined ? undefined : performance.now() + retryInMs;
      this.#stand({ reason, retryAt });
    });
    client.on("error", (error) => {
      if (!current()) return;
      if (error.code === "revoked") {
        for (const want of this.#wants.values()) if (want.subscription?.closed) this.#refused(want, error);
      } else if (error.code !== "refused" && error.code !== "auth") this.#complain(`The broker says: ${reasonOf(error)}.`);
    });
    const refresh = (): void => {
      if (current()) this.#stand({ phase: this.#phase() });
    };
    client.on("state", refresh);
    refresh();
  }

  #refused(want: Want, error: MistErrorLike): void {
    if (error.serverCode !== "unauthenticated") return want.refused(reasonOf(error));
    // Without a token there is nothing to be had: the server would soon hang up.
    const { place } = this.#standing;
    this.#leave();
    this.#stand({ place, phase: "closed", reason: reasonOf(error), retryAt: undefined });
  }

  /** Leaves the broker, and hears nothing more of it. */
  #leave(): number {
    for (const client of [this.#publisher, this.#subscriber]) client?.close().catch(ignore);
    this.#publisher = this.#subscriber = undefined;
    for (const want of this.#wants.values()) {
      delete want.subscription;
      want.refused("");
    }
    return ++this.#attempt;
  }

  /** The worse of the two: half a connection is none. */
  #phase(): State {
    const both = [this.#publisher?.state ?? "connecting", this.#subscriber?.state ?? "connecting"];
    const worst = (["closed", "waiting", "connecting"] as const).find((phase) => both.includes(phase));
    return worst ?? "open";
  }

  #stand(patch: Partial<Standing>): void {
    const next = { ...this.#standing, ...patch };
    this.#standing = next.phase === "open" ? { ...next, reason: "", retryAt: undefined } : next;
    this.#stands(this.#standing);
  }

  async #local(): Promise<() => Client> {
    this.#broker ??= sharedBroker();
    try {
      const { broker, shared } = await this.#broker;
      this.#standing = { ...this.#standing, shared };
      return () => broker.client();
    } catch (error) {
      this.#broker = undefined;
      throw error;
    }
  }
}

/** What an error says, as a sentence can go on with it. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function sharedBroker(): Promise<{ broker: Local; shared: boolean }> {
  try {
    return { broker: await Broker.shared("mist-board"), shared: true };
  } catch (error) {
    if (!(error instanceof MistError) || error.code !== "unsupported") throw error;
    return { broker: await Broker.create(), shared: false };
  }
}

function remote(url: string, token: string): () => Client {
  return () => connect(url, token ? { token, retry } : { retry });
}

function ignore(): void {
  // The state of the client says it too.
}
