/**
 * Owns what a client has to send, the numbers of its requests, who waits for which answer, and until when. Knows nothing
 * of the connection that it goes over.
 */

import { MistError } from "./error.js";
import type { Output, ServerError } from "./output.js";
import type { Code } from "./types.js";
import type { Wanted } from "./wanted.js";
import { type Answer, type Asked, write } from "./wire.js";

/** What a request waits for: an answer, an answer or the end of the connection, a subscription, or a connection. */
type Awaits = "wire" | "wire-or-loss" | "subscription" | "buffer";

interface Waiting {
  deadline: number;
  command: string;
  awaits: Awaits;
  /** The subscription. */
  local: number;
}

/** What a client asks for on its own account. */
interface Errand {
  readonly command: "auth" | "subscribe" | "unsubscribe" | "ping";
  /** For a token, whether the next attempt would present the same; otherwise whether `open` waits for the answer. */
  readonly flag: boolean;
  readonly wanted: Wanted | undefined;
}

/** How what needs no answer of the broker is answered. */
const SUCCESS: Answer = { tags: [], data: "success", subscriptions: [], subscribed: [] };

export class Requests {
  /** The last number given out. */
  last = 0;
  /** In the order of their numbers, which is that of their deadlines. */
  readonly waiting = new Map<number, Waiting>();
  readonly errands = new Map<number, Errand>();
  /** What is to be sent. */
  readonly wire: string[] = [];
  #outputs: Output[];

  constructor(outputs: Output[]) {
    this.#outputs = outputs;
  }

  /** Notes a request, and returns its number. */
  add(deadline: number, command: string, awaits: Awaits, local = 0): number {
    this.waiting.set((this.last += 1), { deadline, command, awaits, local });
    return this.last;
  }

  /** Asks for something on the client's own account, under the number returned. */
  errand(command: Errand["command"], flag: boolean, tags: readonly string[] = [], data = "", wanted?: Wanted): number {
    this.errands.set((this.last += 1), { command, flag, wanted });
    this.send(command, tags, { data, id: this.last });
    return this.last;
  }

  send(command: string, tags: readonly string[], asked: Asked): void {
    this.wire.push(write(command, tags, asked));
  }

  get nextDeadline(): number | undefined {
    return this.waiting.values().next().value?.deadline;
  }

  /** The oldest request, if it is past its deadline. */
  expired(now: number): [number, Waiting] | undefined {
    const oldest = this.waiting.entries().next().value;
    return oldest && oldest[1].deadline <= now ? oldest : undefined;
  }

  answer(request: number, answer = SUCCESS): void {
    if (this.waiting.delete(request)) this.#outputs.push(["answer", request, answer]);
  }

  fail(request: number, code: Code, text: (command: string) => string, serverCode?: string): void {
    const command = this.waiting.get(request)?.command;
    if (command !== undefined) this.#fail(request, new MistError(code, text(command), undefined, serverCode));
  }

  #fail(request: number, error: MistError): void {
    this.waiting.delete(request);
    this.#outputs.push(["fail", request, error]);
  }

  refuse(request: number, { text, code }: ServerError): void {
    this.fail(request, "refused", (command) => `the server refused ${command}: ${text}`, code);
  }

  timeOut(request: number, after: number): void {
    const text = (command: string): string => `no answer to ${command} within ${show(after)}; the server may still have done it`;
    this.fail(request, "timeout", text);
  }

  /** Forgets what was for the lost connection, and tells who waited for an answer on it. */
  connectionLost(reason: string): void {
    this.wire.splice(0);
    this.errands.clear();
    for (const [number, { awaits }] of [...this.waiting]) {
      if (awaits === "wire-or-loss") this.answer(number);
      if (awaits !== "wire") continue;
      this.fail(number, "connection-lost", (command) => {
        return `connection lost before ${command} was answered (${reason}); the server may or may not have done it`;
      });
    }
  }

  /** Tells everybody that this is the end. */
  end(error: MistError): void {
    this.errands.clear();
    for (const number of [...this.waiting.keys()]) this.#fail(number, error);
  }
}

/** A time in milliseconds, for people. */
export function show(ms: number): string {
  return ms < 1000 ? `${ms}ms` : `${ms / 1000}s`;
}
