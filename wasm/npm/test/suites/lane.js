/** Owns what the fast lane of a page's broker must get right where it meets the wire. */

import { Broker } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function ({ test, assert, until }) {
  const { equal, ok, rejects } = assert;

  /** A broker with a command that is answered when the test says so. */
  const slowBroker = async () => {
    const broker = await Broker.create();
    /** @type {(() => void)[]} */
    const calls = [];
    broker.command("slow", () => new Promise((resolve) => calls.push(() => resolve("done"))));
    const answer = async () => {
      await until(() => calls.length > 0);
      calls.shift()?.();
    };
    return { broker, answer };
  };

  test("sets that change hands while a command runs keep their subscriptions apart", async () => {
    const { broker, answer } = await slowBroker();
    const [client, writer] = [broker.client(), broker.client()];
    const before = [client.subscribe(["a"], () => {}), client.subscribe(["b"], () => {})];
    await Promise.all(before.map(({ ready }) => ready));
    /** @type {string[]} */
    const got = [];
    const command = client.command("slow");
    const ended = before.map((subscription) => subscription.unsubscribe());
    const after = ["a", "b"].map((tag) => client.subscribe([tag], ({ tags }) => void got.push(`${tag} ${tags.join()}`)));
    await answer();
    await Promise.all([command, ...ended, ...after.map(({ ready }) => ready)]);
    for (const tag of ["a", "b"]) await writer.publish([tag], "x", { ack: true });
    await client.ping();
    equal(got, ["a a", "b b"]);
    await broker.close();
  });

  test("a subscription made while a command runs gets its messages", async () => {
    const { broker, answer } = await slowBroker();
    const [client, writer] = [broker.client(), broker.client()];
    /** @type {string[]} */
    const got = [];
    const command = client.command("slow");
    const subscription = client.subscribe(["a"], ({ text }) => void got.push(text));
    await answer();
    await Promise.all([command, subscription.ready]);
    equal(await writer.publish(["a"], "x", { ack: true }), { delivered: 1 });
    await client.ping();
    equal(got, ["x"]);
    await broker.close();
  });

  test("what a session sends ahead of a command is bounded, and others notice nothing", async () => {
    const { broker, answer } = await slowBroker();
    const [hasty, calm] = [broker.client(), broker.client()];
    // The core is there now, and the command runs at once.
    await hasty.list();
    const command = rejects(hasty.command("slow"), { name: "MistError" });
    const data = "x".repeat(1 << 20);
    const sent = Array.from({ length: 20 }, () => hasty.publish(["a"], data, { ack: true }).catch(() => {}));
    await Promise.all([command, ...sent]);
    equal(hasty.state, "closed");
    await answer();
    ok((await calm.ping()) >= 0);
    await broker.close();
  });

  test("whatever a command's handler returns is answered", async () => {
    const broker = await Broker.create();
    const client = broker.client();
    const replies = { wrong: { tags: [1] }, data: { data: 42 }, number: 42, object: { a: 1 }, nothing: undefined };
    for (const [name, reply] of Object.entries(replies)) broker.command(name, () => reply);
    await rejects(client.command("wrong"), { name: "MistError", code: "refused" });
    equal((await client.command("data")).data, "42");
    equal((await client.command("number")).data, "42");
    equal((await client.command("object")).data, '{"a":1}');
    ok((await client.ping()) >= 0);
    await broker.close();
  });

  test("a message that is too large is refused on every way, and the client stays", async () => {
    const broker = await Broker.create({ limits: { "message-bytes": 300 } });
    const client = broker.client();
    const long = "x".repeat(300);
    for (const call of [
      () => client.publish([long], "", { ack: true }),
      () => client.publish([long]),
      () => client.publish(["a"], long),
      () => client.command("echo", long),
      () => client.admin.register(long, ["a"]),
    ]) {
      await rejects(call, { name: "MistError", code: "too-large" });
    }
    for (let length = 200; length < 300; length++) {
      await client.publish(["a"], "x".repeat(length), { ack: true }).catch(() => {});
    }
    equal(client.state, "open");
    await broker.close();
  });

  test("data that publishes while it is copied disturbs nothing", async () => {
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    /** @type {unknown[]} */
    const got = [];
    for (const tag of ["a", "b"]) reader.subscribe([tag], ({ tags, data }) => void got.push([tags.join(), data]));
    const sly = {
      get x() {
        void writer.publish(["b"], "inner");
        return 1;
      },
    };
    await writer.publish(["a"], sly);
    await reader.ping();
    equal(got, [["b", "inner"], ["a", { x: 1 }]]);
    await broker.close();
  });

  test("a batch of values without JSON goes through, however large and whoever listens", async () => {
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    let bytes = 0;
    reader.subscribe(["a"], ({ data }) => void (bytes += data.byteLength));
    const batch = Array.from({ length: 3000 }, () => ({ tags: ["a", "b"], data: new Uint8Array(2) }));
    await writer.publishAll(batch);
    const { port1, port2 } = new MessageChannel();
    broker.attach(port2);
    await writer.publishAll(batch.slice(0, 10));
    await reader.ping();
    equal(bytes, 6020);
    port1.close();
    await broker.close();
  });

  test("two clients that answer each other for ever hold no more than what waits", async () => {
    const broker = await Broker.create();
    const [one, other] = [broker.client(), broker.client()];
    let count = 0;
    one.subscribe(["ping"], () => void (count++ < 200_000 && one.publish(["pong"])));
    other.subscribe(["pong"], () => void other.publish(["ping"]));
    await one.ping();
    await other.publish(["ping"]);
    await until(() => count > 200_000, () => String(count));
    await broker.close();
  });
}
