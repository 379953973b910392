/** Owns what tokens do: at a broker in the page, in a server, and behind a port. */

import { Broker, connect } from "mist-pubsub";
import { kinds, open } from "../harness/kinds.js";

const TOKEN = "s3cret";

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, next, until } = tools;
  const { ok, equal, rejects } = assert;

  /**
   * @param {string} title
   * @param {"open" | "scoped"} access
   * @param {(place: import("../harness/kinds.js").Place, admin: import("mist-pubsub").Client) => unknown} work
   */
  const each = (title, access, work) => {
    for (const kind of kinds) {
      tools.test(`${kind}, ${access}: ${title}`, async () => {
        const place = await open(kind, tools, { token: TOKEN, access });
        try {
          const admin = place.client({ token: TOKEN });
          await admin.ready;
          await work(place, admin);
        } finally {
          await place.close();
        }
      });
    }
  };

  each("tokens are registered, changed, shown and removed", "open", async (place, { admin }) => {
    await admin.register("t 1", ["b", "a", "b"]);
    equal(await admin.tags("t 1"), ["a", "b"]);
    await admin.set("t 1", ["c"]);
    await admin.unset("t 1", ["a"]);
    equal(await admin.tags("t 1"), ["b", "c"]);
    const twice = await rejects(admin.register("t 1", []), { name: "MistError", code: "refused" });
    ok(/already exists/.test(twice.message), twice.message);
    await admin.unregister("t 1");
    await admin.unregister("t 1");
    for (const asked of [admin.tags("t 1"), admin.set("t 1", ["x"]), admin.unset("t 1", ["x"])]) {
      ok(/not found/.test((await rejects(asked, { code: "refused" })).message));
    }
    ok(/missing token/.test((await rejects(admin.register("", ["x"]), { code: "refused" })).message));
    // Under open access a token is no more than that.
    await admin.register("t 2", []);
    const other = place.client({ token: "t 2" });
    await other.subscribe(["anything"]).ready;
    ok(/not authorized/.test((await rejects(other.admin.tags("t 2"), { code: "refused" })).message));
    equal((await other.admin.who()).subscribers, 1);
  });

  each("a token narrows subscribing and widens publishing", "scoped", async (place, root) => {
    await root.admin.register("t", ["mine", "also"]);
    const [one, other] = [place.client({ token: "t" }), place.client({ token: "t" })];
    await Promise.all([one.ready, other.ready]);
    /** @type {string[]} */
    const got = [];
    await one.subscribe(["mine", "x"], ({ text }) => void got.push(text)).ready;
    await one.subscribe(["mine"], ({ text }) => void got.push(text)).ready;
    const refused = one.subscribe(["x"]);
    const refusal = await rejects(refused.ready, { code: "refused" });
    ok(/grants none/.test(refusal.message));
    equal(refusal.serverCode, "not-granted");
    ok(refused.closed);

    equal(await other.publish(["mine", "also"], "1", { ack: true }), { delivered: 1 });
    await other.publish(["mine"], "2");
    const error = next(other, "error");
    await other.publish(["mine", "x"], "3");
    equal([(await error).code, (await error).serverCode], ["refused", "not-granted"]);
    ok(/does not grant the tag 'x'/.test((await error).message), (await error).message);
    await rejects(other.publish(["mine", "x"], "4", { ack: true }), { code: "refused" });
    await root.publish(["x", "mine"], "5", { ack: true });
    await until(() => got.length === 4, () => got.join());
    equal(got.sort(), ["1", "2", "5", "5"]);
    equal(await one.admin.listAll(), ["mine"]);

    await root.admin.set("t", ["x"]);
    await one.subscribe(["x"]).ready;
    equal(await other.publish(["mine", "x"], "6", { ack: true }), { delivered: 1 });
  });

  each("the vectors of grants hold with each kind of rights", "scoped", async (place, { admin }) => {
    const { "grants.json": text = "" } = await tools.protocolTexts("vectors");
    let played = 0;
    for (const { name, grants, subscribe, publish, allowed } of JSON.parse(text).cases) {
      for (const rights of /** @type {const} */ (["subscribe", "publish", "both"])) {
        const token = `${rights}-${played++}`;
        await admin.register(token, grants, { rights });
        const client = place.client({ token });
        const asked = subscribe ? client.subscribe(subscribe).ready : client.publish(publish, "x", { ack: true });
        const refused = await asked.then(() => false, (error) => (equal(error.serverCode, "not-granted", name), true));
        equal(refused, !allowed[rights], `${rights}: ${name}`);
        await client.close();
      }
    }
    ok(played > 60, `${played} are`);
  });

  each("a token may subscribe by a tag and not publish with it, or the other way round", "scoped", async (place, root) => {
    const { admin } = root;
    await admin.register("viewer", ["a"], { rights: "subscribe" });
    await admin.register("sensor", ["a"], { rights: "publish" });
    const [viewer, sensor] = [place.client({ token: "viewer" }), place.client({ token: "sensor" })];
    /** @type {string[]} */
    const got = [];
    await viewer.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    const refusal = { code: "refused", serverCode: "not-granted" };
    await rejects(viewer.publish(["a"], "no", { ack: true }), refusal);
    await rejects(sensor.subscribe(["a"]).ready, refusal);
    equal(await sensor.publish(["a"], "1", { ack: true }), { delivered: 1 });
    await until(() => got.length === 1, () => got.join());
    await admin.set("viewer", ["a"], { rights: "publish" });
    equal(await viewer.publish(["a"], "2", { ack: true }), { delivered: 0 });
    await admin.unset("viewer", ["a"], { rights: "publish" });
    await rejects(viewer.publish(["a"], "no", { ack: true }), refusal);
    equal(await sensor.publish(["a"], "3", { ack: true }), { delivered: 1 });
    // @ts-expect-error There are no such rights.
    await rejects(admin.register("other", ["a"], { rights: "all" }), { code: "refused", serverCode: "invalid-value" });
    await rejects(admin.register("other", ["a"], { ttl: 0.5 }), { code: "invalid-argument" });
  });

  each("a token ends when its time has come, unless it is given more", "scoped", async (place, { admin }) => {
    await admin.register("short", ["a"], { ttl: 4 });
    await admin.register("long", ["a"], { ttl: 4 });
    const [short, long] = [place.client({ token: "short" }), place.client({ token: "long" })];
    await Promise.all([short, long].map((client) => client.subscribe(["a"], () => {}).ready));
    await admin.set("long", [], { ttl: 3600 });
    await until(() => short.state === "closed");
    await rejects(short.ping(), { code: "auth" });
    equal(await long.list(), [["a"]]);
    const late = place.client({ token: "short" });
    await rejects(late.ready, { code: "auth", serverCode: "token-expired" });
  });

  for (const access of /** @type {const} */ (["open", "scoped"])) {
    each(`tags that begin with $ are refused, ${access}`, access, async (place, { admin }) => {
      const client = place.client({ token: TOKEN });
      const refusal = { code: "refused", serverCode: "reserved-tag" };
      await rejects(client.subscribe(["$a"]).ready, refusal);
      await rejects(client.publish(["a", "$a"], "x", { ack: true }), refusal);
      const error = next(client, "error");
      await client.publish(["a", "$a"], "x");
      equal((await error).serverCode, "reserved-tag");
      await rejects(admin.register("t", ["$both:a"]), refusal);
    });
  }

  each("taking a grant away ends the subscriptions that lived on it, and no others", "scoped", async (place, { admin }) => {
    await admin.register("t", ["a", "b"]);
    await admin.register("u", ["a"]);
    const [client, other] = [place.client({ token: "t" }), place.client({ token: "u" })];
    const mine = [["a", "x"], ["a"], ["a"], ["b"], ["a", "b"]].map((tags) => client.subscribe(tags, () => {}));
    const theirs = other.subscribe(["a"], () => {});
    await Promise.all([...mine, theirs].map(({ ready }) => ready));
    /** @type {string[]} */
    const told = [];
    client.on("error", ({ code, message }) => void told.push(`${code} ${message}`));
    await admin.unset("t", ["a"]);
    await until(() => told.length === 2, () => told.join("\n"));
    equal(mine.map(({ closed }) => closed), [true, true, true, false, false]);
    ok(told.every((text) => /^revoked .*subscription removed/.test(text)), told.join("\n"));
    ok(!theirs.closed);
    equal(await client.list(), [["a", "b"], ["b"]]);

    await admin.unregister("t");
    await until(() => told.length === 4, () => told.join("\n"));
    ok(mine.every(({ closed }) => closed));
    await rejects(client.list(), { code: "refused" });
    equal(client.state, "open");
    equal(await other.list(), [["a"]]);
    // Numbers of tag sets that were taken away go to others.
    /** @type {string[]} */
    const got = [];
    await other.subscribe(["a", "c"], ({ text }) => void got.push(text)).ready;
    await place.client({ token: TOKEN }).publish(["a", "c"], "x", { ack: true }).catch(() => {});
    const late = place.client({ token: TOKEN });
    await late.ready;
    await late.publish(["c", "a"], "y", { ack: true });
    await until(() => got.includes("y"));
  });

  for (const access of /** @type {const} */ (["open", "scoped"])) {
    each("a wrong token that would be wrong again ends the client", access, async (place) => {
      const client = place.client({ token: "wrong" });
      // In the page it is closed by now.
      const subscription = place.kind === "page" ? undefined : client.subscribe(["a"]);
      const error = await rejects(client.ready, { name: "MistError", code: "auth" });
      ok(/token/.test(error.message) && !error.message.includes("wrong\""), error.message);
      equal(client.state, "closed");
      await rejects(client.ping(), { code: "auth" });
      await rejects(() => client.subscribe(["a"]), { code: "auth" });
      if (!subscription) return;
      await rejects(subscription.ready, { code: "auth" });
      ok(subscription.closed);
    });
  }

  each("who has no token may only ask for a sign of life", "scoped", async (place) => {
    const client = place.client();
    await client.ready;
    await client.ping();
    for (const asked of [client.subscribe(["a"]).ready, client.publish(["a"], "", { ack: true }), client.list(), client.admin.who()]) {
      ok(/present a token/.test((await rejects(asked, { code: "refused" })).message));
    }
    const error = next(client, "error", (error) => /publish/.test(/** @type {Error} */ (error).message));
    await client.publish(["a"], "x");
    equal((await error).code, "refused");
  });

  tools.test("a token is asked for at every attempt, and a wrong one is not the end", async () => {
    const server = await tools.startServer(["--token", TOKEN, "--authenticator", "memory://", "--access", "scoped"]);
    const given = tools.webSocket ? { webSocket: tools.webSocket } : {};
    const answers = ["wrong", () => Promise.reject(new Error("the shop is closed")), TOKEN];
    let asked = 0;
    const token = () => {
      const answer = answers[Math.min(asked, answers.length - 1)];
      asked += 1;
      return typeof answer === "function" ? answer() : Promise.resolve(/** @type {string} */ (answer));
    };
    const client = connect(server.ws, { ...given, token, retry: { minMs: 1, maxMs: 5 } });
    /** @type {string[]} */
    const reasons = [];
    /** @type {(number | undefined)[]} */
    const waits = [];
    client.on("close", ({ reason, retryInMs }) => void (reasons.push(reason), waits.push(retryInMs)));
    const subscription = client.subscribe(["a"]);
    await subscription.ready;
    equal([asked, reasons.length], [3, 2]);
    // However soon it may try again otherwise.
    ok(waits.every((ms) => ms !== undefined && ms >= 1000 && ms <= 1005), waits.join());
    ok(/refused the token/.test(reasons[0] ?? "") && reasons[1] === "the shop is closed", reasons.join("\n"));

    // The server forgets its tokens, and the next attempt brings another.
    await client.admin.register("rotated", ["a"]);
    const other = connect(server.ws, { ...given, token: "rotated", retry: { minMs: 1, maxMs: 5 } });
    await other.ready;
    const reopened = next(client, "open");
    const ended = next(other, "state", (state) => state === "closed");
    await server.kill();
    await server.start();
    await ended;
    await rejects(other.ping(), { code: "auth" });
    ok((await reopened).resumed);
    ok(asked > 3);
    equal(await client.list(), [["a"]]);
    await client.close();
  });

  tools.test("who may register tokens must be said", async () => {
    for (const [options, text] of /** @type {[any, RegExp][]} */ ([
      [{ access: "scoped" }, /needs a token/],
      [{ access: "closed" }, /"open" or "scoped"/],
      [{ limits: { "tag-byte": 1 } }, /tag-byte.*known.*tag-bytes/],
      [{ limits: { connections: 9 } }, /connections.*known.*tag-bytes/],
      [{ limits: { "tag-bytes": -1 } }, /tag-bytes.*-1/],
      [{ limits: { "publishes-per-second": 1 } }, /publishes-per-second.*known/],
      [{ limits: { "tag-bytes": "1" } }, /tag-bytes/],
      [{ token: 5 }, /token is a string/],
    ])) {
      ok(text.test((await rejects(Broker.create(options), { name: "MistError", code: "invalid-argument" })).message), `${text}`);
    }
    const broker = await Broker.create();
    // There is nothing to check it against.
    await broker.client({ token: "any" }).ready;
    await broker.close();
    const closed = await rejects(() => broker.client(), { name: "MistError", code: "closed" });
    ok(/create another/.test(closed.message));
    equal(broker.stats().sessions, 0);
  });
}
