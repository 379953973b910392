/** Owns what a client does when its connection, its server or its network fails. */

import { connect } from "mist-pubsub";

/** @typedef {import("mist-pubsub").ConnectOptions} ConnectOptions */

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, next, startProxy, startServer, until, webSocket } = tools;
  const { ok, equal, rejects } = assert;
  const QUICK = { minMs: 1, maxMs: 20 };
  const NEVER = { minMs: 3_600_000, maxMs: 3_600_000 };

  /** A test whose clients end with it, and that leaves nothing uncaught. @param {string} title @param {(dial: (url: string, options?: ConnectOptions) => import("mist-pubsub").Client) => unknown} work */
  const drill = (title, work) =>
    tools.test(title, async () => {
      /** @type {import("mist-pubsub").Client[]} */
      const clients = [];
      const reports = tools.catchReports();
      try {
        await work((url, options = {}) => {
          const client = connect(url, { ...(webSocket && { webSocket }), retry: QUICK, ...options });
          clients.push(client);
          return client;
        });
        await tools.turn();
        equal(reports.errors.map(String), [], "nothing is left uncaught");
      } finally {
        reports.end();
        for (const client of clients) await client.close();
      }
    });

  drill("a server that is killed and started again gets all subscriptions back before the client is open", async (dial) => {
    const server = await startServer();
    const client = dial(server.ws);
    /** @type {string[]} */
    const got = [];
    const early = [["a"], ["b", "a"], ["a"]].map((tags) => client.subscribe(tags, ({ text }) => void got.push(text)));
    await Promise.all(early.map(({ ready }) => ready));
    /** @type {unknown[]} */
    const told = [];
    client.on("state", (state) => void told.push(state));
    const closed = next(client, "close");
    const reopened = next(client, "open");
    await server.kill();
    const { code, reason, retryInMs } = await closed;
    equal(code, 1006);
    ok(/closed \(1006\)/.test(reason), reason);
    ok(retryInMs !== undefined && retryInMs >= 0 && retryInMs <= QUICK.maxMs, String(retryInMs));
    const late = client.subscribe(["late"], ({ text }) => void got.push(text));
    const gone = client.subscribe(["gone"]);
    const refused = rejects(gone.ready, { code: "unsubscribed" });
    await gone.unsubscribe();
    await refused;
    await early[2]?.unsubscribe();
    await server.start();
    equal(await reopened, { resumed: true });
    equal(await client.list(), [["a"], ["a", "b"], ["late"]]);
    await late.ready;
    equal([told[0], told.at(-1)], ["waiting", "open"]);
    const writer = dial(server.ws);
    await writer.ready;
    equal(await writer.publish(["a", "b", "late"], "x", { ack: true }), { delivered: 1 });
    await client.ping();
    await tools.turn();
    equal(got, ["x", "x", "x"]);
  });

  drill("a connection that dies silently is noticed, and made again", async (dial) => {
    const server = await startServer();
    const proxy = await startProxy(server.ws);
    const client = dial(proxy.url, { heartbeatMs: 200, timeoutMs: 1000 });
    await client.subscribe(["a"]).ready;
    const closed = next(client, "close");
    const reopened = next(client, "open");
    await proxy.hold();
    const { reason, retryInMs } = await closed;
    ok(/no sign of life/.test(reason), reason);
    ok(retryInMs !== undefined);
    // The next attempts are not answered either.
    ok(/no connection within|sent nothing/.test((await next(client, "close")).reason));
    await proxy.release();
    equal(await reopened, { resumed: true });
    equal(await client.list(), [["a"]]);
  });

  drill("an answer that does not come in time is given up, and the client goes on", async (dial) => {
    const server = await startServer();
    const proxy = await startProxy(server.ws);
    const client = dial(proxy.url, { heartbeatMs: 0, timeoutMs: 1000 });
    await client.ready;
    await proxy.hold();
    const subscription = client.subscribe(["a"]);
    const asked = [client.ping(), client.list(), client.publish(["a"], "", { ack: true }), subscription.ready];
    for (const outcome of asked) {
      const error = await rejects(outcome, { name: "MistError", code: "timeout" });
      ok(/within 1s/.test(error.message), error.message);
    }
    ok(subscription.closed);
    await proxy.release();
    await client.ping();
    equal([client.state, await client.list()], ["open", []]);
  });

  drill("a publish that is cut off before its acknowledgement says so", async (dial) => {
    const server = await startServer();
    const proxy = await startProxy(server.ws);
    const client = dial(proxy.url);
    await client.ready;
    await proxy.hold();
    const asked = [client.publish(["a"], "x", { ack: true }), client.ping(), client.admin.who()];
    const outcomes = asked.map((outcome) => rejects(outcome, { name: "MistError", code: "connection-lost" }));
    const reopened = next(client, "open");
    await proxy.cut();
    for (const { message } of await Promise.all(outcomes)) ok(/may or may not have done it/.test(message), message);
    await proxy.release();
    await reopened;
    equal(await client.publish(["a"], "x", { ack: true }), { delivered: 0 });
  });

  drill("what is asked before the first connection waits for it, in order", async (dial) => {
    const server = await startServer();
    const reader = dial(server.ws);
    /** @type {string[]} */
    const got = [];
    await reader.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    const client = dial(server.ws);
    client.on("open", () => void client.publish(["a"], "3"));
    const asked = [client.publish(["a"], "1"), client.publish(["a"], "2", { ack: true }), client.list()];
    await Promise.all(asked);
    await until(() => got.length === 3, () => got.join());
    equal(got, ["1", "2", "3"]);
  });

  drill("without a connection a publish is refused, unless it is to be kept", async (dial) => {
    const server = await startServer();
    await server.kill();
    const plain = dial(server.ws);
    for (const asked of [plain.publish(["a"], "x"), plain.publish(["a"], "x", { ack: true }), plain.ping(), plain.list()]) {
      const { message } = await rejects(asked, { name: "MistError", code: "offline" });
      ok(/while offline.*option offline/.test(message), message);
    }
    ok(/cannot reach/.test((await next(plain, "close")).reason));

    const keeper = dial(server.ws, { offline: { messages: 3 } });
    for (const text of ["1", "2"]) equal(await keeper.publish(["a"], text), {});
    const acked = keeper.publish(["a"], "3", { ack: true });
    const full = await rejects(keeper.publish(["a"], "4"), { name: "MistError", code: "buffer-full" });
    ok(/3 publishes/.test(full.message), full.message);
    const thin = dial(server.ws, { offline: { bytes: 100 } });
    await thin.publish(["a"], "x".repeat(10));
    await rejects(thin.publish(["a"], "x".repeat(100)), { code: "buffer-full" });

    await server.start();
    /** @type {string[]} */
    const got = [];
    const reader = dial(server.ws);
    await reader.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    await Promise.all([acked, keeper.ready, thin.ready]);
    await server.kill();
    await Promise.all([keeper, reader].map((client) => until(() => client.state !== "open")));
    for (const text of ["5", "6"]) await keeper.publish(["a"], text);
    const taken = keeper.publish(["a"], "7", { ack: true });
    got.splice(0);
    await server.start();
    ok(/** @type {number} */ ((await taken).delivered) <= 1);
    await keeper.ping();
    await reader.ready;
    // Who was back first is chance; what came is in order.
    await reader.ping().catch(() => {});
    equal(got, ["5", "6", "7"].slice(3 - got.length));
  });

  drill("a publish that waits too long is discarded, and that is told", async (dial) => {
    const server = await startServer();
    await server.kill();
    const client = dial(server.ws, { offline: { maxAgeMs: 60 } });
    const told = next(client, "error");
    await client.publish(["a"], "1");
    await client.publish(["a"], "2");
    const acked = rejects(client.publish(["a"], "3", { ack: true }), { name: "MistError", code: "timeout" });
    const error = await told;
    equal(error.code, "discarded");
    ok(/[12] publishes/.test(error.message), error.message);
    await acked;
    const again = next(client, "error", ({ code }) => code === "discarded");
    await client.publish(["a"], "4");
    await client.close();
    await again;
  });

  drill("without retry the end of the connection is the end of the client", async (dial) => {
    const server = await startServer();
    const client = dial(server.ws, { retry: false });
    const subscription = client.subscribe(["a"]);
    await subscription.ready;
    /** @type {import("mist-pubsub").ClientEvents["close"][]} */
    const closes = [];
    client.on("close", (event) => void closes.push(event));
    await server.kill();
    await until(() => client.state === "closed");
    await tools.turn();
    equal(closes.map(({ code, retryInMs }) => [code, retryInMs]), [[1006, undefined]]);
    ok(subscription.closed);
    await rejects(client.ping(), { code: "closed" });
    const late = dial(server.ws, { retry: false });
    const { message } = await rejects(late.ready, { name: "MistError", code: "closed" });
    ok(/cannot reach/.test(message), message);
  });

  drill("a server that stops in good order says so by its code", async (dial) => {
    const server = await startServer();
    const client = dial(server.ws, { retry: NEVER });
    await client.ready;
    const closed = next(client, "close");
    await server.stop();
    const { code, retryInMs = 0 } = await closed;
    equal(code, 1001);
    ok(retryInMs > 0 && retryInMs <= NEVER.maxMs);
    equal(client.state, "waiting");
    // Why the connection before ended is not why the client does.
    const end = next(client, "close");
    await client.close();
    equal(Object.keys(await end), ["reason"]);
  });

  drill("sixty cuts leave one connection, one subscription, and nothing else behind", async (dial) => {
    const server = await startServer();
    const proxy = await startProxy(server.ws);
    const timers = () =>
      typeof process === "object" ? process.getActiveResourcesInfo().filter((name) => name === "Timeout").length : 0;
    const client = dial(proxy.url);
    /** @type {string[]} */
    const got = [];
    await client.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    const before = timers();
    let opened = 0;
    let unsettled = 0;
    client.on("open", () => (opened += 1));
    for (let round = 0; round < 60; round++) {
      unsettled += 1;
      void client.publish(["b"], "x", { ack: true }).catch(() => {}).finally(() => (unsettled -= 1));
      await proxy.cut();
      // Sometimes also while it is not open yet.
      if (round % 4 !== 3) await until(() => opened > 0 && client.state === "open");
    }
    await until(() => client.state === "open" && unsettled === 0, () => `${client.state}, ${unsettled} unsettled`);
    const writer = dial(server.ws);
    await writer.ready;
    // What arrives has come over the last connection; the one before may not know yet that it was cut.
    await until(async () => {
      await writer.publish(["a"], "x", { ack: true });
      return got.length > 0;
    });
    equal(new Set(got).size, 1);
    await writer.close();
    equal(await client.list(), [["a"]]);
    await until(() => timers() <= before, () => `${timers()} timers, ${before} before`);
    await client.close();
  });

  drill("the network's return is taken as an occasion to look", async (dial) => {
    if (typeof document === "undefined") return;
    const server = await startServer();
    const proxy = await startProxy(server.ws);
    const client = dial(proxy.url, { heartbeatMs: 0, timeoutMs: 1000, retry: NEVER });
    await client.ready;
    for (const look of [
      () => window.dispatchEvent(new Event("online")),
      () => document.dispatchEvent(new Event("visibilitychange")),
    ]) {
      const closed = next(client, "close");
      await proxy.hold();
      look();
      ok(/no sign of life/.test((await closed).reason));
      equal(client.state, "waiting");
      await proxy.release();
      const reopened = next(client, "open");
      look();
      equal(await reopened, { resumed: true });
    }
    await client.close();
    const accepted = await proxy.accepted();
    window.dispatchEvent(new Event("online"));
    await tools.turn();
    equal(await proxy.accepted(), accepted);
  });

  drill("where to connect to is checked at once", async (dial) => {
    for (const [url, code, text] of /** @type {[any, string, RegExp][]} */ ([
      ["http://[", "invalid-url", /not a URL/],
      ["ftp://localhost", "invalid-url", /ftp:.*ws:/],
      ["localhost:8888", "invalid-url", /localhost:.*ws:/],
      [undefined, "invalid-url", /./],
      [null, "invalid-url", /./],
      [5, "invalid-url", /./],
      [{}, "invalid-url", /./],
    ])) {
      const error = await rejects(() => dial(url), { name: "MistError", code });
      ok(text.test(error.message), error.message);
    }
    for (const [options, text] of /** @type {[any, RegExp][]} */ ([
      [{ token: 5 }, /token.*number/],
      [{ timeoutMs: "1" }, /timeoutMs.*1/],
      [{ heartbeatMs: Number.NaN }, /heartbeatMs.*NaN/],
      [{ retry: { minMs: -1 } }, /minMs.*-1/],
      [{ offline: { messages: -1 } }, /messages.*-1/],
      [{ offline: "keep" }, /offline.*keep/],
      [{ retries: 1 }, /no option retries/],
    ])) {
      const error = await rejects(() => dial("ws://127.0.0.1:1", options), { name: "MistError", code: "invalid-argument" });
      ok(text.test(error.message), error.message);
    }
    const server = await startServer();
    const { message, serverCode } = await rejects(dial(server.ws).admin.register("t", ["a"]), { name: "MistError", code: "refused" });
    equal([/no authenticator$/.test(message), serverCode], [true, "unknown-command"]);
    for (const url of [server.ws, server.http, new URL(server.ws), `${server.ws}/subscribe/websocket#x`]) await dial(/** @type {string} */ (url)).ready;
  });
}
