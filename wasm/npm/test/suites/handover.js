/** Owns that a page's broker loads its core when it first needs it, and hands over to it while messages go on. */

import { Broker, connect } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function ({ test, assert, turn, until }) {
  const { equal, ok, rejects } = assert;

  /** Whether a broker has its core. @param {Broker} broker */
  const hasCore = (broker) => broker.stats().memoryBytes > 0;

  test("nothing is lost, doubled or out of order while the core takes over", async () => {
    const broker = await Broker.create();
    const [reader, writer, other] = [broker.client(), broker.client(), broker.client()];
    /** @type {number[]} */
    const both = [];
    /** @type {number[]} */
    const single = [];
    reader.subscribe(["a", "b"], ({ data }) => void both.push(data.at));
    reader.subscribe(["a"], ({ data }) => void single.push(data.at));
    const publisher = writer.publisher(["b", "a"]);
    let sent = 0;
    /** @type {number[]} */
    const delivered = [];
    const send = () => {
      const data = { at: (sent += 1) };
      if (sent % 4 === 0) void writer.publish(["a", "b"], data, { ack: true }).then((receipt) => delivered.push(receipt.delivered));
      else if (sent % 4 === 1) void publisher.publish(data);
      else if (sent % 4 === 2) void writer.publishAll([{ tags: ["c", "b", "a"], data }]);
      else void writer.publish([writer.tag("b"), "a"], data);
    };
    for (let number = 0; number < 100; number++) send();
    ok(!hasCore(broker), "there is a core before anything needs it");
    // One that waits for the core, and one that does not.
    const list = other.list();
    const { port1, port2 } = new MessageChannel();
    broker.attach(port2);
    const far = connect(port1);
    /** @type {number[]} */
    const there = [];
    const subscribed = far.subscribe(["b"], (message) => void there.push(message.json().at)).ready;
    while (!hasCore(broker)) {
      for (let number = 0; number < 20; number++) send();
      await turn();
    }
    await subscribed;
    const from = sent + 1;
    for (let number = 0; number < 100; number++) {
      send();
      if (number % 20 === 0) await turn();
    }
    const all = Array.from({ length: sent }, (_, index) => index + 1);
    await until(() => there.at(-1) === sent, () => `${there.at(-1)} of ${sent}`);
    await writer.ping();
    equal(both, all);
    equal(single, all);
    equal(there.slice(there.indexOf(from)), all.slice(from - 1), "what came over the port from when it had subscribed");
    equal(await list, []);
    equal([delivered[0], delivered.at(-1), delivered.length], [1, 2, sent >> 2]);
    await far.close();
    await broker.close();
  });

  test("the core goes on with what was there: sessions, subscriptions, counts", async () => {
    const broker = await Broker.create();
    const [one, other, gone] = [broker.client(), broker.client(), broker.client()];
    await gone.ping();
    await gone.close();
    const kept = one.subscribe(["a", "é"], () => {});
    const given = one.subscribe(["b"], () => {});
    await Promise.all([kept.ready, given.ready, other.subscribe(["b"], () => {}).ready]);
    await given.unsubscribe();
    const before = broker.stats();
    equal([before.sessions, before.sessionsTotal, before.subscribers, before.subscriptions], [2, 3, 2, 2]);
    equal(await one.list(), [["a", "é"]]);
    ok(hasCore(broker));
    equal({ ...broker.stats(), memoryBytes: 0 }, before);
    equal(await other.admin.who(), { connections: 3, subscribers: 2 });
    equal(await other.admin.listAll(), ["a", "b", "é"]);
    equal(await other.publish(["é", "a", "b"], "x", { ack: true }), { delivered: 1 });
    await kept.unsubscribe();
    equal(await other.publish(["é", "a", "b"], "x", { ack: true }), { delivered: 0 });
    const late = /** @type {any} */ (await rejects(other.command("auth", "token"), { code: "refused" }));
    ok(late.serverCode !== undefined, "a token comes too late");
    await broker.close();
  });

  test("what is wrong is refused by the core, in its words, as a core refuses it from the start", async () => {
    const tags = (/** @type {number} */ count) => Array.from({ length: count }, (_, at) => `t${at}`);
    /** @type {((client: import("mist-pubsub").Client) => Promise<unknown>)[]} */
    const calls = [
      (client) => client.publish(["$mist"], "", { ack: true }),
      (client) => client.publish(["x".repeat(1025)], "", { ack: true }),
      (client) => client.publish(tags(65), "", { ack: true }),
      (client) => client.subscribe(tags(33)).ready,
      (client) => client.subscribe(["a", "$mist"]).ready,
      (client) => client.command("unknown"),
    ];
    for (const call of calls) {
      const refusals = [];
      for (const limits of [{}, { nesting: 16 }]) {
        const broker = await Broker.create({ limits });
        equal(hasCore(broker), "nesting" in limits);
        const client = broker.client();
        const { code, serverCode, message } = /** @type {any} */ (await rejects(call(client), { name: "MistError" }));
        refusals.push([code, serverCode, message]);
        ok((await client.ping()) >= 0, "the session goes on");
        await broker.close();
      }
      equal(refusals[0], refusals[1]);
      equal(refusals[0]?.[0], "refused");
    }
    // The most that may be.
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    await reader.subscribe(tags(32), () => {}).ready;
    equal(await writer.publish(tags(64), "x", { ack: true }), { delivered: 1 });
    ok(!hasCore(broker));
    await broker.close();
  });

  test("a broker that is closed while its core is on the way stays closed", async () => {
    const broker = await Broker.create();
    const client = broker.client();
    const list = rejects(client.list(), { code: "closed" });
    const { port1, port2 } = new MessageChannel();
    broker.attach(port2);
    const far = connect(port1);
    await broker.close();
    await list;
    await until(() => far.state === "closed");
    // The next one's core is there when the first one's would be.
    const next = await Broker.create({ limits: { nesting: 16 } });
    await next.close();
    await turn();
    equal([broker.closed, hasCore(broker), broker.stats().sessions], [true, false, 0]);
  });
}
