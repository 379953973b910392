/** Owns what a client does, the same for a broker in the page, in a server, and behind a port. */

import { kinds, open } from "../harness/kinds.js";

/** @typedef {import("mist-pubsub").Client} Client */
/** @typedef {import("mist-pubsub").Message} Message */

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, until } = tools;
  const { ok, equal, rejects } = assert;

  /** @param {string} title @param {(place: import("../harness/kinds.js").Place) => unknown} work */
  const each = (title, work) => {
    for (const kind of kinds) {
      tools.test(`${kind}: ${title}`, async () => {
        const place = await open(kind, tools);
        try {
          await work(place);
        } finally {
          await place.close();
        }
      });
    }
  };

  /** A client that is open, and what its subscriptions have got. @param {import("../harness/kinds.js").Place} place */
  const opened = async (place, count = 2) => {
    const clients = Array.from({ length: count }, () => place.client());
    await Promise.all(clients.map((client) => client.ready));
    // As many as were asked for.
    return /** @type {[Client, Client, Client, Client]} */ (clients);
  };

  /** @param {Client} client @param {string[]} tags */
  const collect = async (client, tags) => {
    /** @type {string[]} */
    const got = [];
    const subscription = client.subscribe(tags, (message) => void got.push(message.text));
    await subscription.ready;
    return { got, subscription };
  };

  /** After this, what was published before has arrived. */
  const barrier = async (/** @type {Client[]} */ ...clients) => {
    for (const client of clients) await client.ping();
    await tools.turn();
  };

  each("a message comes when all tags of the subscription are on it, and not otherwise", async (place) => {
    const [reader, writer] = await opened(place);
    const both = await collect(reader, ["a", "b"]);
    const one = await collect(reader, ["c"]);
    await writer.publish(["a"], "1");
    await writer.publish(["b", "a"], "2");
    await writer.publish(["a", "x", "b", "c"], "3");
    await writer.publish(["x", "y"], "4");
    await barrier(writer, reader);
    equal(both.got, ["2", "3"]);
    equal(one.got, ["3"]);
  });

  each("nobody gets what he has published himself", async (place) => {
    const [one, other] = await opened(place);
    const mine = await collect(one, ["a"]);
    const theirs = await collect(other, ["a"]);
    await one.publish(["a"], "from one");
    await other.publish(["a"], "from other");
    await barrier(one, other, one);
    equal([mine.got, theirs.got], [["from other"], ["from one"]]);
    await other.close();
    await until(async () => (await one.admin.who()).subscribers === 1);
    equal(await one.publish(["a"], "to nobody", { ack: true }), { delivered: 0 });
    equal(mine.got, ["from other"]);
  });

  each("ten thousand messages come in order, on every way of publishing", async (place) => {
    const [reader, writer] = await opened(place);
    const { got } = await collect(reader, ["a"]);
    const publisher = writer.publisher(["b", "a"]);
    const handles = [writer.tag("a"), writer.tag("b")];
    /** @type {string[]} */
    const sent = [];
    for (let number = 0; number < 10_000; number++) {
      const text = String(number);
      sent.push(text);
      if (number % 5 === 0) void writer.publish(["a", "b"], text);
      else if (number % 5 === 1) void writer.publish(handles, text);
      else if (number % 5 === 2) void publisher.publish(text);
      else if (number % 5 === 3) void writer.publishAll([{ tags: ["a"], data: text }]);
      else void writer.publish(["a"], text, number % 500 === 4 ? { ack: true } : undefined);
      if (number % 1000 === 999) await writer.ping();
    }
    await until(() => got.length >= sent.length, () => `${got.length} came`);
    equal(got.length, sent.length);
    equal(got.findIndex((text, at) => text !== sent[at]), -1, "the first out of order");
  });

  each("subscriptions with equal and with overlapping tags each get a message once, over one wire", async (place) => {
    const [reader, writer] = await opened(place);
    const first = await collect(reader, ["a", "b"]);
    const second = await collect(reader, ["b", "a", "b"]);
    const wide = await collect(reader, ["b"]);
    equal(await reader.list(), [["a", "b"], ["b"]]);
    await writer.publish(["a", "b"], "1");
    await writer.publish(["b"], "2");
    await barrier(writer, reader);
    equal([first.got, second.got, wide.got], [["1"], ["1"], ["1", "2"]]);

    await first.subscription.unsubscribe();
    ok(first.subscription.closed && !second.subscription.closed);
    equal(await reader.list(), [["a", "b"], ["b"]]);
    await writer.publish(["a", "b"], "3");
    await barrier(writer, reader);
    equal([first.got, second.got, wide.got], [["1"], ["1", "3"], ["1", "2", "3"]]);

    await second.subscription.unsubscribe();
    await second.subscription.unsubscribe();
    equal(await reader.list(), [["b"]]);
    await writer.publish(["a", "b"], "4");
    await barrier(writer, reader);
    equal([second.got, wide.got], [["1", "3"], ["1", "2", "3", "4"]]);
  });

  each("a subscription that ends while messages are on their way gets none of them", async (place) => {
    const [reader, writer] = await opened(place);
    /** @type {string[]} */
    const got = [];
    const subscription = reader.subscribe(["a"], ({ text }) => {
      got.push(text);
      void subscription.unsubscribe();
    });
    await subscription.ready;
    for (const text of ["1", "2", "3"]) void writer.publish(["a"], text);
    await barrier(writer, reader);
    equal(got, ["1"]);
  });

  each("tags are sorted as UTF-8, without duplicates, in subscriptions, messages and lists", async (place) => {
    const [reader, writer] = await opened(place);
    const tags = ["z", "\u{1F600}", "\uFF5E", "é", "a", "\uE000", "a", "aa", "𐀀", "A", "a b", "ä,ö"];
    const inOrder = ["A", "a", "a b", "aa", "z", "ä,ö", "é", "\uE000", "\uFF5E", "𐀀", "\u{1F600}"];
    /** @type {Message[]} */
    const got = [];
    const subscription = reader.subscribe(tags, (message) => void got.push(message));
    await subscription.ready;
    equal(subscription.tags, inOrder);
    equal(writer.publisher(tags).tags, inOrder);
    await writer.publish(tags, "fast");
    await writer.publish(tags, "slow", { ack: true });
    await barrier(writer, reader);
    equal(got.map(({ tags, text }) => [tags, text]), [[inOrder, "fast"], [inOrder, "slow"]]);
    equal(await reader.list(), [inOrder]);
    equal(JSON.parse(JSON.stringify(got[0])), { tags: inOrder, data: "fast" });
  });

  each("data is the same on either side: nothing, text, and values as JSON", async (place) => {
    const [reader, writer] = await opened(place);
    /** @type {Message[]} */
    const got = [];
    await reader.subscribe(["a"], (message) => void got.push(message)).ready;
    const texts = ["", " ", "\0\u2028\"\\", "\u{1F600}", "x".repeat(100_000)];
    for (const text of texts) await writer.publish(["a"], text);
    for (const text of texts) await writer.publish(["a"], text, { ack: true });
    await writer.publish(["a"]);
    await writer.publish(["a"], undefined, { ack: true });
    await barrier(writer, reader);
    equal(got.splice(0).map(({ data, text }) => [data, text]), [...texts, ...texts, "", ""].map((text) => [text, text]));

    const values = [null, true, false, 0, -1.5, [], [1, [2]], {}, { a: { b: "é" } }, "\"text\"", "7"];
    for (const value of values) await writer.publish(["a"], value);
    for (const value of values) await writer.publish(["a"], value, { ack: true });
    await writer.publishAll(values.map((data) => ({ tags: ["a"], data })));
    await barrier(writer, reader);
    const wanted = values.map((value) => (typeof value === "string" ? JSON.parse(value) : value));
    equal(got.map((message) => message.json()), [...wanted, ...wanted, ...wanted]);
    const written = values.map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
    equal(got.map(({ text }) => text), [...written, ...written, ...written]);
  });

  each("data that is no JSON says so when it is read as such", async (place) => {
    const [reader, writer] = await opened(place);
    const subscription = reader.subscribe(["a"]);
    await subscription.ready;
    await writer.publish(["a"], "{no");
    for await (const message of subscription) {
      const error = await rejects(() => message.json(), { name: "MistError", code: "invalid-data" });
      ok(/not JSON/.test(error.message), error.message);
      break;
    }
  });

  each("what the publisher does with its data and tags afterwards is its own affair", async (place) => {
    const [reader, writer] = await opened(place);
    /** @type {Message[]} */
    const got = [];
    await reader.subscribe(["a"], (message) => void got.push(message)).ready;
    const data = { list: [1] };
    const tags = ["a", "b"];
    const batch = [{ tags, data }];
    const published = Promise.all([writer.publish(tags, data), writer.publishAll(batch)]);
    data.list.push(2);
    tags[0] = "c";
    tags.push("d");
    await published;
    await barrier(writer, reader);
    equal(got.map((message) => [message.tags, message.json()]), [[["a", "b"], { list: [1] }], [["a", "b"], { list: [1] }]]);
  });

  each("an acknowledged publish says how many sessions took it", async (place) => {
    const [one, two, three, writer] = await opened(place, 4);
    await Promise.all([one, two].map((client) => client.subscribe(["a"], () => {}).ready));
    await Promise.all([two, three, writer].map((client) => client.subscribe(["b"], () => {}).ready));
    equal(await writer.publish(["a"], "", { ack: true }), { delivered: 2 });
    equal(await writer.publish(["a", "b"], { value: 1 }, { ack: true }), { delivered: 3 });
    equal(await writer.publish(["x"], "", { ack: true }), { delivered: 0 });
    equal(await writer.publish(["a"], "x"), {});
  });

  each("questions are answered", async (place) => {
    const [one, other] = await opened(place);
    await one.subscribe(["b", "a"], () => {}).ready;
    await one.subscribe(["c"], () => {}).ready;
    await other.subscribe(["c", "d"], () => {}).ready;
    equal(await one.list(), [["a", "b"], ["c"]]);
    equal(await other.list(), [["c", "d"]]);
    equal(await one.admin.listAll(), ["a", "b", "c", "d"]);
    equal(await one.admin.who(), { connections: 2, subscribers: 2 });
    const ms = await other.ping();
    ok(ms >= 0 && ms < 60_000, `a ping took ${ms} ms`);
    equal(one.state, "open");
    await one.ready;
  });

  each("an unknown command is refused, with its name", async (place) => {
    const [client] = await opened(place, 1);
    const error = await rejects(client.command("no-such", "x", ["y"]), { name: "MistError", code: "refused" });
    ok(/no-such.*Unknown Command/.test(error.message), error.message);
    equal(client.state, "open");
  });

  each("handlers and listeners never run inside a call", async (place) => {
    const reader = place.client();
    let depth = 0;
    let ran = 0;
    const seen = () => {
      equal(depth, 0, "calls at work");
      ran += 1;
    };
    /** @template T @param {() => T} call @returns {T} */
    const inside = (call) => {
      depth += 1;
      try {
        return call();
      } finally {
        depth -= 1;
      }
    };
    for (const type of /** @type {const} */ (["state", "open", "close"])) reader.on(type, seen);
    const subscription = inside(() => reader.subscribe(["a"], seen));
    const writer = inside(() => place.client());
    await Promise.all([subscription.ready, writer.ready]);
    const before = ran;
    const sent = inside(() => [
      writer.publish(["a"], "1"),
      writer.publishAll([{ tags: ["a"], data: "2" }]),
      writer.publish(["a"], "3", { ack: true }),
    ]);
    await Promise.all(sent);
    await until(() => ran - before === 3, () => `${ran - before} ran`);
    await inside(() => reader.close());
    await until(() => ran > before + 4);
  });

  each("handlers may do anything, in any order", async (place) => {
    const [ping, pong] = await opened(place);
    let left = 200;
    let over = () => {};
    const done = new Promise((resolve) => (over = () => resolve(undefined)));
    await ping.subscribe(["ping"], ({ data }) => {
      if ((left -= 1) === 0) return over();
      const nested = ping.subscribe([`nested ${left}`], () => {});
      nested[Symbol.dispose]();
      void ping.publish(["pong"], data);
    }).ready;
    await pong.subscribe(["pong"], async ({ data }) => {
      if (left % 10 === 0) await pong.list();
      await pong.publish(["ping"], data, left % 3 === 0 ? { ack: true } : undefined);
    }).ready;
    await pong.publish(["ping"], "x");
    await done;
    equal(await ping.list(), [["ping"]]);
  });

  each("what handlers throw is reported, and the others get their messages", async (place) => {
    const [reader, writer] = await opened(place);
    const reports = tools.catchReports();
    try {
      await reader.subscribe(["a"], () => {
        throw new Error("thrown");
      }).ready;
      await reader.subscribe(["a"], async () => {
        throw new Error("rejected");
      }).ready;
      reader.on("dropped", () => {});
      const { got } = await collect(reader, ["a"]);
      await writer.publish(["a"], "1");
      await writer.publish(["a"], "2");
      await until(() => got.length === 2 && reports.errors.length === 4, () => `${reports.errors.length} reports`);
      const texts = reports.errors.map((error) => /** @type {Error} */ (error).message).sort();
      equal(texts, ["rejected", "rejected", "thrown", "thrown"]);
      equal(reader.state, "open");
    } finally {
      reports.end();
    }
  });
}
