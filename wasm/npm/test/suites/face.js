/** Owns what a client tells and refuses: events, ends, signals, iterators, errors. */

import { MistError } from "mist-pubsub";
import { kinds, open } from "../harness/kinds.js";

/** @typedef {import("mist-pubsub").Client} Client */

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, next, until } = tools;
  const { ok, equal, rejects } = assert;

  /** @param {string} title @param {(place: import("../harness/kinds.js").Place) => unknown} work */
  const each = (title, work) => {
    for (const kind of kinds) {
      tools.test(`${kind}: ${title}`, async () => {
        const place = await open(kind, tools);
        const reports = tools.catchReports();
        try {
          await work(place);
          await tools.turn();
          equal(reports.errors.map(String), [], "nothing is left uncaught");
        } finally {
          reports.end();
          await place.close();
        }
      });
    }
  };

  /** @param {import("../harness/kinds.js").Place} place */
  const two = async (place) => {
    const clients = /** @type {const} */ ([place.client(), place.client()]);
    await Promise.all(clients.map((client) => client.ready));
    return clients;
  };

  /** Claims that an error is one of ours, has a code, and says what to do. @param {any} error @param {string} code @param {RegExp} text */
  const check = (error, code, text) => {
    ok(error instanceof MistError && error instanceof Error, `not a MistError: ${error}`);
    equal([error.name, error.code], ["MistError", code], error.message);
    ok(text.test(error.message), `${code}: ${error.message}`);
  };

  each("an iterator gets the messages in order, and breaking out unsubscribes", async (place) => {
    const [reader, writer] = await two(place);
    const subscription = reader.subscribe(["a"]);
    await subscription.ready;
    for (let number = 0; number < 5; number++) await writer.publish(["a"], number);
    const got = [];
    for await (const message of subscription) {
      got.push(message.json());
      if (got.length === 3) await writer.publish(["a"], 5);
      if (got.length === 6) break;
    }
    equal(got, [0, 1, 2, 3, 4, 5]);
    ok(subscription.closed);
    equal(await reader.list(), []);
    equal(await writer.publish(["a"], "", { ack: true }), { delivered: 0 });
  });

  each("an iterator that waits ends with the subscription, and with the client", async (place) => {
    const [reader, other] = await two(place);
    const collect = async (/** @type {import("mist-pubsub").Subscription} */ subscription) => {
      const got = [];
      for await (const { text } of subscription) got.push(text);
      return got;
    };
    const [one, another] = [reader.subscribe(["a"]), reader.subscribe(["b"])];
    const ended = [collect(one), collect(another)];
    await Promise.all([one.ready, another.ready]);
    await other.publish(["a"], "1");
    await other.publish(["b"], "2");
    await until(async () => (await other.publish(["a"], "3", { ack: true })).delivered);
    await reader.ping();
    await tools.turn();
    await one.unsubscribe();
    equal(await ended[0], ["1", "3"]);
    await reader.close();
    equal(await ended[1], ["2"]);
    ok(one.closed && another.closed);
  });

  each("a handler and an iterator of one subscription both get its messages", async (place) => {
    const [reader, writer] = await two(place);
    /** @type {string[]} */
    const handled = [];
    const subscription = reader.subscribe(["a"], ({ text }) => void handled.push(text));
    const iterator = subscription[Symbol.asyncIterator]();
    await subscription.ready;
    const waiting = iterator.next();
    await writer.publish(["a"], "1");
    await writer.publish(["a"], "2");
    equal((await waiting).value?.text, "1");
    equal((await iterator.next()).value?.text, "2");
    equal(handled, ["1", "2"]);
    equal(await iterator.return?.(), { done: true, value: undefined });
    equal(await iterator.next(), { done: true, value: undefined });
  });

  each("an iterator that falls behind loses the newest, and says how many", async (place) => {
    const [reader, writer] = await two(place);
    let told = 0;
    reader.on("dropped", ({ count }) => (told += count));
    const subscription = reader.subscribe(["a"], undefined, { buffer: 3 });
    await subscription.ready;
    for (let number = 0; number < 10; number++) void writer.publish(["a"], String(number));
    await until(() => told === 7, () => `${told} told`);
    equal(subscription.dropped, 7);
    const got = [];
    for await (const { text } of subscription) if (got.push(text) === 3) break;
    equal(got, ["0", "1", "2"]);
  });

  each("signals end subscriptions and listeners, and give up what is waited for", async (place) => {
    const [reader, writer] = await two(place);
    const over = new AbortController();
    const { signal } = over;
    /** @type {string[]} */
    const got = [];
    const subscription = reader.subscribe(["a"], ({ text }) => void got.push(text), { signal });
    await subscription.ready;
    let heard = 0;
    reader.on("close", () => (heard += 1), { signal });
    await writer.publish(["a"], "1", { ack: true });
    await until(() => got.length === 1);
    const waiting = [reader.ping({ signal }), reader.publish(["b"], "x", { ack: true, signal })];
    const enough = new Error("enough");
    over.abort(enough);
    for (const asked of waiting) {
      // In the page the answer has come already.
      const outcome = await asked.then(() => undefined, (error) => error);
      if (place.kind !== "page") ok(outcome === enough, String(outcome));
    }
    ok(subscription.closed);
    await until(async () => (await reader.list()).length === 0);
    for (const asked of [
      () => reader.ping({ signal }),
      () => reader.publish(["a"], "x", { signal }),
      () => reader.publish(["a"], "x", { ack: true, signal }),
      () => reader.list({ signal }),
      () => reader.command("x", "", [], { signal }),
      () => reader.subscribe(["a"], undefined, { signal }).ready,
    ]) {
      ok((await rejects(asked)) === enough);
    }
    equal(await reader.list(), []);
    await reader.close();
    equal(heard, 0);
  });

  each("a client ends with its signal, also one that was aborted before", async (place) => {
    const over = new AbortController();
    const client = place.client({ signal: over.signal });
    await client.ready;
    const subscription = client.subscribe(["a"]);
    await subscription.ready;
    const closed = next(client, "close");
    over.abort();
    equal((await closed).retryInMs, undefined);
    equal(client.state, "closed");
    ok(subscription.closed);
    check(await rejects(client.ping()), "closed", /aborted/);
    const late = place.client({ signal: over.signal });
    const error = await rejects(late.ready);
    equal([error === over.signal.reason, error.name], [true, "AbortError"]);
    equal(late.state, "closed");
    await late.close();
  });

  each("states and connections are told, as they come", async (place) => {
    const client = place.client();
    /** @type {unknown[]} */
    const told = [];
    client.on("state", (state) => void told.push(state));
    client.on("open", (event) => void told.push(event));
    const closed = new Promise((resolve) => client.on("close", resolve));
    await client.ready;
    await tools.turn();
    equal(client.state, "open");
    equal(told.splice(0).filter((event) => event !== "connecting"), ["open", { resumed: false }]);
    await client.close();
    const event = /** @type {any} */ (await closed);
    equal(Object.keys(event), ["reason"], "a close by the application has no code and no retry");
    ok(event.reason !== "");
    equal(told, ["closed"]);
    await client.close();
    client[Symbol.dispose]();
    await tools.turn();
    equal(told, ["closed"], "closing again tells nothing");
  });

  each("a listener hears one event with once, and none after it is off", async (place) => {
    const [client] = await two(place);
    let [once, off, all] = [0, 0, 0];
    client.on("error", () => (once += 1), { once: true });
    const stop = client.on("error", () => (off += 1));
    client.on("error", () => (all += 1));
    stop();
    stop();
    const long = "x".repeat(1025);
    await client.publish([long], "");
    await client.publish([long], "");
    await until(() => all === 2, () => `${all} errors`);
    equal([once, off], [1, 0]);
  });

  each("a refused publish is an event, and with ack a rejection", async (place) => {
    const [client] = await two(place);
    const many = Array.from({ length: 65 }, (_, number) => `tag ${number}`);
    for (const [tags, text] of /** @type {const} */ ([
      [many, /65 tags.*limit of 64.*tags-per-message/],
      [["x".repeat(1025)], /1025 bytes.*limit of 1024.*tag-bytes/],
      [[client.tag("x".repeat(1025))], /1025 bytes.*limit of 1024.*tag-bytes/],
    ])) {
      const error = next(client, "error");
      await client.publish(tags, "x");
      check(await error, "refused", text);
      check(await rejects(client.publish(tags, "x", { ack: true })), "refused", text);
    }
    const long = client.subscribe(["x".repeat(1025)]);
    const error = next(client, "error");
    check(await rejects(long.ready), "refused", /tag-bytes/);
    check(await error, "refused", /tag-bytes/);
    ok(long.closed);
    check(await rejects(client.subscribe(many).ready), "refused", /tags-per-/);
    equal(client.state, "open");
    equal(await client.list(), []);
  });

  each("tags of any kind are tags", async (place) => {
    const [reader, writer] = await two(place);
    const tags = ["", "\0", "\n", "a,b", " ", "x".repeat(1024), "ö".repeat(512)];
    /** @type {string[][]} */
    const got = [];
    for (const tag of tags) await reader.subscribe([tag], (message) => void got.push([...message.tags])).ready;
    for (const tag of tags) await writer.publish([tag], "");
    for (const tag of tags) equal(await writer.publish([tag], "", { ack: true }), { delivered: 1 });
    const both = [...tags, ...tags].map((tag) => [tag]);
    await until(() => got.length === both.length, () => `${got.length} came`);
    equal(got, both);
  });

  each("half a surrogate pair is replaced on every way", async (place) => {
    const [reader, writer] = await two(place);
    const [half, whole] = ["\ud83d", "\ud83d\ude00"];
    /** @type {unknown[]} */
    const got = [];
    const subscription = reader.subscribe([half], ({ tags, text }) => void got.push([tags, text]));
    await subscription.ready;
    equal(subscription.tags, ["\ufffd"]);
    const tags = [half, whole];
    await writer.publish(tags, half);
    await writer.publish(tags.map((tag) => writer.tag(tag)), half);
    await writer.publisher(tags).publish(half);
    await writer.publishAll([{ tags, data: half }]);
    equal(await writer.publish(tags, half, { ack: true }), { delivered: 1 });
    await until(() => got.length === 5, () => `${got.length} came`);
    equal(got, Array(5).fill([["\ufffd", whole], "\ufffd"]));
  });

  each("what is wrong is refused at once, with a code and a sentence", async (place) => {
    const [client] = await two(place);
    const wrong = /** @type {any} */ (client);
    for (const [tags, code, text] of /** @type {[unknown, string, RegExp][]} */ ([
      [[], "missing-tags", /without tags/],
      ["a", "invalid-argument", /array.*"a"/],
      [undefined, "invalid-argument", /array/],
      [null, "invalid-argument", /array/],
      [{ length: 1, 0: "a" }, "invalid-argument", /array/],
      [[1], "invalid-argument", /string.*number/],
      [["a", null], "invalid-argument", /string.*object/],
      [["a", undefined], "invalid-argument", /string.*undefined/],
      [[["a"]], "invalid-argument", /string.*object/],
    ])) {
      check(await rejects(() => wrong.subscribe(tags)), code, text);
      check(await rejects(wrong.publish(tags, "x")), code, text);
      check(await rejects(wrong.publish(tags, "x", { ack: true })), code, text);
      check(await rejects(() => wrong.publisher(tags)), code, text);
      check(await rejects(wrong.publishAll([{ tags: ["fine"] }, { tags }])), code, text);
    }
    for (const [call, text] of /** @type {[() => unknown, RegExp][]} */ ([
      [() => wrong.subscribe(["a"], { signal: undefined }), /function/],
      [() => wrong.subscribe(["a"], "handler"), /function/],
      [() => wrong.subscribe(["a"], undefined, { buffer: -1 }), /buffer/],
      [() => wrong.subscribe(["a"], undefined, { buffer: Number.NaN }), /buffer/],
      [() => wrong.tag(5), /string/],
      [() => wrong.tag(), /string/],
      [() => wrong.command(""), /name/],
      [() => wrong.command(5), /name/],
      [() => wrong.command("x", 5), /string/],
      [() => wrong.command("x", "", "tags"), /array/],
      [() => wrong.admin.register(5, ["a"]), /token is a string/],
      [() => wrong.admin.register("t", "a"), /array/],
      [() => wrong.publishAll("messages"), /array/],
      [() => wrong.publishAll([undefined]), /tags/],
      [() => wrong.on("opened", () => {}), /event.*opened/],
      [() => wrong.on("open", "listener"), /function/],
    ])) {
      check(await rejects(async () => call()), "invalid-argument", text);
    }
    equal(await client.list(), []);
    equal(client.state, "open");
  });

  each("data that cannot be sent is refused at once", async (place) => {
    const [client, reader] = await two(place);
    await reader.subscribe(["a"], () => {}).ready;
    const cycle = /** @type {Record<string, unknown>} */ ({});
    cycle["self"] = cycle;
    for (const data of [() => {}, Symbol("s"), { work: () => {} }.work]) {
      check(await rejects(client.publish(["a"], data)), "invalid-data", /JSON|clone/);
      check(await rejects(client.publish(["a"], data, { ack: true })), "invalid-data", /JSON/);
      check(await rejects(client.publishAll([{ tags: ["a"], data }])), "invalid-data", /JSON|clone/);
    }
    for (const data of [cycle, 5n, new Map([[1, 2]]), new Uint8Array(3), new ArrayBuffer(3)]) {
      check(await rejects(client.publish(["a"], data, { ack: true })), "invalid-data", /JSON/);
      // Inside a page there is no wire that it would have to go over.
      const published = client.publish(["a"], data);
      if (place.kind === "page") equal(await published, {});
      else check(await rejects(published), "invalid-data", /JSON/);
    }
    const large = "x".repeat((4 << 20) + 1);
    if (place.kind === "page") {
      check(await rejects(client.publish(["a"], large)), "too-large", /limit of 4194304.*message-bytes/);
      check(await rejects(client.publish(["a"], large, { ack: true })), "too-large", /message-bytes/);
    }
    equal(client.state, "open");
  });

  each("a closed client refuses everything, and says so", async (place) => {
    const [client] = await two(place);
    const { admin } = client;
    const subscription = client.subscribe(["a"]);
    const publisher = client.publisher(["a"]);
    await subscription.ready;
    const waiting = [client.ping(), client.publish(["a"], "x", { ack: true })].map((asked) =>
      asked.then(() => undefined, (/** @type {unknown} */ error) => error),
    );
    await client.close();
    equal(client.state, "closed");
    for (const asked of waiting) {
      const outcome = await asked;
      if (place.kind !== "page") check(outcome, "closed", /closed/);
    }
    for (const call of [
      () => client.subscribe(["a"]),
      () => client.publish(["a"], "x"),
      () => client.publish(["a"], "x", { ack: true }),
      () => client.publishAll([{ tags: ["a"] }]),
      () => publisher.publish("x"),
      () => client.ping(),
      () => client.list(),
      () => client.command("x"),
      () => admin.who(),
      () => admin.listAll(),
      () => admin.register("t", ["a"]),
      () => admin.unregister("t"),
    ]) {
      check(await rejects(call), "closed", /closed.*make another/);
    }
    ok(subscription.closed);
    await subscription.unsubscribe();
    subscription[Symbol.dispose]();
    for await (const _ of subscription) ok(false, "a message after the end");
    await client.ready;
  });

  each("a client that is closed before it is open says so, and keeps nothing", async (place) => {
    const client = place.client();
    const subscription = client.subscribe(["a"]);
    const waiting = [subscription.ready, client.ready, client.ping(), client.publish(["a"], "x", { ack: true })];
    const outcomes = Promise.allSettled(waiting);
    await client.close();
    for (const outcome of await outcomes) {
      // In the page it is open from the beginning.
      if (place.kind === "page") continue;
      equal(outcome.status, "rejected");
      ok(["closed", "offline"].includes(/** @type {any} */ (outcome).reason.code), String(/** @type {any} */ (outcome).reason));
    }
    ok(subscription.closed);
  });

  each("disposing ends subscriptions and clients", async (place) => {
    const [client, other] = await two(place);
    const subscription = client.subscribe(["a"]);
    await subscription.ready;
    subscription[Symbol.dispose]();
    ok(subscription.closed);
    equal(await client.list(), []);
    const waiting = client.subscribe(["b"]);
    const refused = rejects(waiting.ready);
    waiting[Symbol.dispose]();
    if (place.kind !== "page") check(await refused.catch((error) => error), "unsubscribed", /unsubscribed/);
    client[Symbol.dispose]();
    equal(client.state, "closed");
    await until(async () => (await other.admin.who()).subscribers === 0);
  });
}
