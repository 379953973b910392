/**
 * Owns that a page which runs for long does not grow: neither the memory of the core nor that of JavaScript.
 * `MIST_TEST_LEAK_SECONDS=600` looks longer.
 */

import { Broker, connect } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function ({ assert, heapBytes, settings, test, turn }) {
  const seconds = Number(settings["LEAK_SECONDS"] ?? 30);

  const run = async () => {
    const broker = await Broker.create();
    const keeper = broker.client();
    const signal = new AbortController().signal;
    let seed = 1;
    /** @param {number} end */
    const roll = (end) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * end);
    };
    let fresh = 0;
    const tag = () => (roll(4) === 0 ? `fresh ${(fresh += 1)}` : `tag ${roll(200)}`);
    const tags = () => Array.from({ length: 1 + roll(5) }, tag);
    let handled = 0;
    const handler = () => void (handled += 1);

    /** One application's life, from beginning to end. */
    const live = async () => {
      const near = broker.client({ signal });
      const { port1, port2 } = new MessageChannel();
      broker.attach(port2);
      const far = connect(port1, { signal });
      await far.ready;
      const off = keeper.on("error", handler, { signal });
      for (const client of [near, far]) {
        const kept = Array.from({ length: 20 }, () => client.subscribe(tags(), handler, { signal }));
        const iterated = client.subscribe(["all"], undefined, { signal });
        await Promise.all([...kept, iterated].map(({ ready }) => ready));
        const publisher = keeper.publisher([keeper.tag(tag()), "all"]);
        for (let number = 0; number < 200; number++) {
          void keeper.publish(roll(2) ? tags() : tags().map((name) => keeper.tag(name)), number % 3 ? "text" : { number });
          void publisher.publish(String(number));
        }
        await keeper.publishAll(Array.from({ length: 50 }, () => ({ tags: tags(), data: "batch" })));
        await keeper.publish(["all"], { last: true }, { ack: true, signal });
        for await (const { text } of iterated) if (text.includes("last")) break;
        for (const subscription of kept) if (roll(2)) await subscription.unsubscribe();
        await client.list({ signal });
      }
      off();
      await near.close();
      if (roll(2)) far[Symbol.dispose]();
      else await far.close();
      await turn();
    };

    const start = performance.now();
    const passed = () => (performance.now() - start) / 1000;
    const measure = async () => {
      await keeper.ping();
      return { heap: await heapBytes(), core: broker.stats().memoryBytes };
    };
    let lives = 0;
    while (lives < 20 || passed() < seconds / 10) await live(), (lives += 1);
    const before = await measure();
    const warm = lives;
    while (lives < 2 * warm || passed() < seconds) await live(), (lives += 1);
    const after = await measure();
    const { sessions, subscriptions } = broker.stats();
    assert.equal([sessions, subscriptions], [1, 0], "what is left");
    assert.ok(handled > 0);
    const told = `after ${lives} lives, ${warm} of them before the first look: ${JSON.stringify({ before, after })}`;
    assert.equal(after.core, before.core, `the core has grown ${told}`);
    // Engines compile and cache as they go; a thousand bytes a life would be much more.
    const growth = after.heap - before.heap;
    assert.ok(growth < 400_000 + (lives - warm) * 100, `the page has grown by ${growth} bytes ${told}`);
    await broker.close();
  };

  test("clients, subscriptions, publishes and handles come and go without a trace", run, seconds);
}
