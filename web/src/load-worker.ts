/** Owns the synthetic load: a worker, so that the page stays free. It does not know how its figures are shown. */

import { Broker, connect, type Client, type Message, type Outgoing, type Subscription, type Tag } from "mist-pubsub";

/** What the page asks for. */
export interface Order {
  /** The server's address; empty for a broker in this worker. */
  readonly url: string;
  readonly token: string;
  /** Messages a second; infinite for as many as possible. */
  readonly rate: number;
  readonly subscriptions: number;
  readonly tags: number;
}

/** What the page is told, a few times a second. */
export interface Sample {
  readonly published: number;
  readonly matches: number;
  readonly dropped: number;
  /** Milliseconds since the sample before. */
  readonly during: number;
  /** Milliseconds from publishing to the first handler: the median, and what one in a hundred exceeds. */
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  readonly subscriptions: number;
  /** Why nothing is published; empty when something is. */
  readonly trouble: string;
}

const vocabulary = 256;
const variants = 512;
const sampleMs = 200;
const sliceMs = 12;
const mostLatencies = 20_000;

/** What this file needs of a worker; the types of pages know none. */
interface Scope {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(sample: Sample): void;
}

const scope = globalThis as unknown as Scope;
let order: Order | undefined;
let broker: Broker | undefined;
let publisher: Client | undefined;
let subscriber: Client | undefined;
let words: Tag[] = [];
let messages: Tag[][] = [];
const held: Subscription[] = [];

let published = 0;
let matches = 0;
let dropped = 0;
let handled = 0;
let trouble = "";
let last: Message | undefined;
let latencies: number[] = [];

scope.onmessage = (event) => {
  const first = order === undefined;
  if (order?.tags !== event.data.tags) messages = [];
  order = event.data;
  if (first) void run();
};

async function run(): Promise<void> {
  try {
    reportRegularly();
    await open();
    await publishForever();
  } catch (error) {
    trouble = error instanceof Error ? error.message : String(error);
    report(0);
  }
}

async function open(): Promise<void> {
  const { url, token } = order!;
  if (url) {
    const options = token ? { token } : {};
    [publisher, subscriber] = [connect(url, options), connect(url, options)];
  } else {
    broker = await Broker.create();
    [publisher, subscriber] = [broker.client(), broker.client()];
  }
  subscriber.on("dropped", ({ count }) => (dropped += count));
  publisher.on("close", ({ reason }) => (trouble = reason));
  publisher.on("open", () => (trouble = ""));
  subscriber.on("error", ({ message }) => (trouble = message));
  await Promise.all([publisher.ready, subscriber.ready]);
  words = Array.from({ length: vocabulary }, (_, index) => publisher!.tag(`load:${index}`));
}

async function publishForever(): Promise<void> {
  let since = performance.now();
  let due = 0;
  for (;;) {
    const { rate, subscriptions, tags } = order!;
    await hold(subscriptions);
    if (messages.length === 0) messages = Array.from({ length: variants }, () => pick(tags));
    const now = performance.now();
    due += rate === Infinity ? 0 : ((now - since) / 1000) * rate;
    // What could not be sent in time is not made up for in one burst.
    due = Math.min(due, rate / 5);
    since = now;
    const end = now + sliceMs;
    while ((rate === Infinity || due >= 1) && performance.now() < end && !isBehind()) {
      const count = Math.min(32, rate === Infinity ? 32 : Math.floor(due));
      if (!(await send(count))) break;
      if (rate !== Infinity) due -= count;
    }
    await (rate === Infinity && trouble === "" ? turn() : pause(trouble === "" ? 4 : 100));
  }
}

/** Publishes some messages; with a server, waits until it has taken them, so that no queue grows without bound. */
async function send(count: number): Promise<boolean> {
  const data = String(performance.now());
  const batch: Outgoing[] = [];
  for (let index = 0; index < count; index++) batch.push({ tags: messages[(published + index) % variants]!, data });
  try {
    if (broker) await publisher!.publishAll(batch);
    else {
      const rest = batch.slice(1);
      if (rest.length > 0) await publisher!.publishAll(rest);
      await publisher!.publish(batch[0]!.tags, data, { ack: true });
    }
    published += count;
    return true;
  } catch (error) {
    trouble = error instanceof Error ? error.message : String(error);
    await pause(100);
    if (publisher!.state === "open") trouble = "";
    return false;
  }
}

/** Whether handlers wait: then they come first. */
function isBehind(): boolean {
  return broker !== undefined && broker.stats().delivered - handled > 20_000;
}

function handle(message: Message): void {
  matches += 1;
  handled += 1;
  if (message === last) return;
  last = message;
  if (latencies.length < mostLatencies) latencies.push(performance.now() - Number(message.text));
}

/** Subscribes or unsubscribes until there are so many. One in four has one tag, the others have two. */
async function hold(wanted: number): Promise<void> {
  while (held.length > wanted) void held.pop()!.unsubscribe();
  while (held.length < wanted) {
    for (let index = 0; index < 200 && held.length < wanted; index++) {
      held.push(subscriber!.subscribe(pick(held.length % 4 === 0 ? 1 : 2), handle));
      // A refusal is an event of the client too.
      held.at(-1)!.ready.catch(() => undefined);
    }
    await turn();
  }
}

function pick(count: number): Tag[] {
  const picked = new Set<Tag>();
  while (picked.size < count) picked.add(words[Math.floor(Math.random() * vocabulary)]!);
  return [...picked];
}

function reportRegularly(): void {
  let since = performance.now();
  const regularly = (): void => {
    const now = performance.now();
    report(now - since);
    since = now;
  };
  setInterval(regularly, sampleMs);
}

function report(during: number): void {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number | undefined => latencies[Math.floor(share * (latencies.length - 1))];
  const [p50, p99] = [at(0.5), at(0.99)];
  const sample: Sample = { published, matches, dropped, during, p50, p99, subscriptions: held.length, trouble };
  scope.postMessage(sample);
  published = matches = 0;
  latencies = [];
}

const channel = new MessageChannel();
let resume: (() => void) | undefined;
channel.port1.onmessage = () => resume?.();

/** Lets everything else that waits run once; a timer would wait four milliseconds. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    resume = resolve;
    channel.port2.postMessage(0);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
