/** Owns what the broker of a page can do beyond its clients: commands, bridges, ports of workers and frames, figures. */

import { Broker, connect } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, next, startServer, test, until, webSocket } = tools;
  const { ok, equal, rejects } = assert;

  /** Clients of a broker: in the page, and behind a port. @param {Broker} broker @param {import("mist-pubsub").LocalOptions} [options] */
  const clients = (broker, options) => {
    const { port1, port2 } = new MessageChannel();
    broker.attach(port2);
    return /** @type {const} */ ([["page", broker.client(options)], ["port", connect(port1, options)]]);
  };

  test("a command is answered with data, tags, nothing or an error, at once or later", async () => {
    const broker = await Broker.create();
    /** @type {unknown[]} */
    const calls = [];
    broker.command("echo", (call) => (calls.push(call), call.data));
    broker.command("later", async ({ data }) => (await tools.turn(), { tags: ["x", "y"], data }));
    broker.command("names", ({ tags }) => ({ tags }));
    broker.command("quiet", () => {});
    broker.command("throws", () => {
      throw new Error("no such thing");
    });
    broker.command("rejects", async () => Promise.reject("later no such thing"));
    for (const [kind, client] of clients(broker)) {
      equal(await client.command("echo", "é\n", ["b", "a"]), { tags: [], data: "é\n" }, kind);
      equal(calls.splice(0), [{ command: "echo", tags: ["b", "a"], data: "é\n" }]);
      equal(await client.command("later", "d"), { tags: ["x", "y"], data: "d" });
      equal(await client.command("names", "", [client.tag("t"), "s"]), { tags: ["t", "s"], data: "" });
      ok((await client.command("quiet")).data !== undefined);
      ok(/throws: no such thing/.test((await rejects(client.command("throws"), { name: "MistError", code: "refused" })).message));
      ok(/later no such thing/.test((await rejects(client.command("rejects"), { code: "refused" })).message));
      // Answers come in the order of the questions.
      /** @type {string[]} */
      const order = [];
      await Promise.all(["later", "echo", "later"].map((name, at) => client.command(name, "").then(() => order.push(`${at}`))));
      equal(order, ["0", "1", "2"]);
      calls.splice(0);
      await client.close();
    }
    const taken = await rejects(() => broker.command("ping", () => {}), { name: "MistError", code: "invalid-argument" });
    ok(/"ping" is a command of the protocol/.test(taken.message), taken.message);
    for (const wrong of [() => broker.command("", () => {}), () => broker.command("x", /** @type {any} */ (5))]) {
      await rejects(wrong, { name: "MistError", code: "invalid-argument" });
    }
    await broker.close();
  });

  test("a command may use the broker, and what a client publishes meanwhile stays in order and a value", async () => {
    const broker = await Broker.create();
    const helper = broker.client();
    const reader = broker.client();
    /** @type {unknown[]} */
    const got = [];
    await reader.subscribe(["a"], ({ data }) => void got.push(data)).ready;
    let go = () => {};
    broker.command("work", async () => {
      await helper.publish(["a"], { from: "command" });
      await new Promise((resolve) => (go = () => resolve(undefined)));
    });
    const client = broker.client();
    let isInside = true;
    broker.command("inside", () => equal(isInside, false, "whether the handler runs inside the call"));
    const inside = client.command("inside");
    isInside = false;
    await inside;
    const work = client.command("work");
    await until(() => got.length === 1);
    const waiting = [client.publish(["a"], { at: 1 }), client.publish(["a"], "2", { ack: true }), client.publish(["a"], [3])];
    go();
    await Promise.all([work, ...waiting]);
    await client.ping();
    await tools.turn();
    equal(got, [{ from: "command" }, { at: 1 }, "2", [3]]);
    await broker.close();
  });

  test("who leaves while his command runs gets no answer, nor does who comes after him", async () => {
    const broker = await Broker.create();
    /** @type {(() => void)[]} */
    const going = [];
    broker.command("wait", () => new Promise((resolve) => going.push(() => resolve("too late"))));
    for (const [kind, client] of clients(broker)) {
      const asked = rejects(client.command("wait"), { name: "MistError", code: "closed" });
      await until(() => going.length === 1);
      await client.close();
      await asked;
      await until(() => broker.stats().sessions === (kind === "page" ? 1 : 0));
      const after = broker.client();
      const answered = after.command("wait");
      await until(() => going.length === 2);
      going.shift()?.();
      await tools.turn();
      going.shift()?.();
      equal((await answered).data, "too late");
      await after.ping();
      await after.close();
    }
    await broker.close();
  });

  test("figures say what there is", async () => {
    const broker = await Broker.create();
    const [one, other] = [broker.client(), broker.client()];
    await Promise.all([["a"], ["a"], ["b"]].map((tags) => one.subscribe(tags, () => {}).ready));
    await other.subscribe(["a"], () => {}).ready;
    await other.publish(["a"], "x");
    await other.publishAll([{ tags: ["a", "b"] }, { tags: ["c"] }]);
    await other.publish(["b"], "x", { ack: true });
    const { memoryBytes, ...figures } = broker.stats();
    equal(figures, { sessions: 2, sessionsTotal: 2, subscribers: 2, subscriptions: 3, published: 4, delivered: 6, dropped: 0 });
    equal(memoryBytes, 0);
    // What needs the core changes none of the figures.
    await one.list();
    const { memoryBytes: taken, ...same } = broker.stats();
    equal(same, figures);
    ok(taken > 0 && taken < 64 << 20, String(taken));
    await one.close();
    equal([broker.stats().sessions, broker.stats().subscriptions], [1, 1]);
    ok(!broker.closed);
    broker[Symbol.dispose]();
    await broker.close();
    ok(broker.closed);
    equal(other.state, "closed");
    equal(broker.stats().sessions, 0);
    for (const call of [() => broker.client(), () => broker.command("x", () => {}), () => broker.attach(new MessageChannel().port1)]) {
      await rejects(call, { name: "MistError", code: "closed" });
    }
  });

  test("a page that floods its handlers loses what is too much, is told, and goes on", async () => {
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    let [handled, told] = [0, 0];
    reader.on("dropped", ({ count }) => (told += count));
    const subscription = reader.subscribe(["a"], () => (handled += 1));
    await subscription.ready;
    const flood = 140_000;
    for (let number = 0; number < flood; number++) void writer.publish(["a"], "x");
    await until(() => handled + told === flood, () => `${handled} handled, ${told} dropped`);
    ok(told > 0 && handled > 100_000, `${handled} handled, ${told} dropped`);
    equal([subscription.dropped, broker.stats().dropped, broker.stats().delivered], [told, told, handled]);
    equal(await writer.publish(["a"], "y", { ack: true }), { delivered: 1 });
    await until(() => handled + told === flood + 1);
    await broker.close();
  });

  test("the end of a broker is the end of its clients, near and far", async () => {
    const broker = await Broker.create();
    for (const [, client] of clients(broker)) await client.ready;
    const all = clients(broker).map(([, client]) => client);
    await Promise.all(all.map((client) => client.ready));
    const closed = all.map((client) => next(client, "close"));
    await broker.close();
    for (const { reason, retryInMs } of await Promise.all(closed)) {
      ok(reason !== "");
      equal(retryInMs, undefined);
    }
    equal(all.map(({ state }) => state), ["closed", "closed"]);
  });

  test("what attach gives back ends the client at the port, and anything else than a port is refused", async () => {
    const broker = await Broker.create();
    const { port1, port2 } = new MessageChannel();
    const detach = broker.attach(port2);
    const client = connect(port1);
    await client.subscribe(["a"], () => {}).ready;
    equal(broker.stats().sessions, 1);
    const closed = next(client, "close");
    detach();
    detach();
    await closed;
    equal([client.state, broker.stats().sessions, broker.stats().subscriptions], ["closed", 0, 0]);
    for (const wrong of [undefined, null, {}, "port"]) {
      await rejects(() => broker.attach(/** @type {any} */ (wrong)), { name: "MistError", code: "invalid-argument" });
    }
    // What is no protocol is answered, and is not the end.
    const strange = new MessageChannel();
    broker.attach(strange.port2);
    /** @type {string[]} */
    const answers = [];
    strange.port1.onmessage = ({ data }) => void answers.push(data);
    for (const data of [5, { command: "ping" }, ["x"], true, "nonsense"]) strange.port1.postMessage(data);
    await until(() => answers.length === 5, () => answers.join("\n"));
    equal(JSON.parse(/** @type {string} */ (answers[1])), { command: "ping", data: "pong" });
    strange.port1.close();
    await broker.close();
  });

  test("page and server are joined in both directions, without echo and without duplicates", async () => {
    const server = await startServer();
    const given = webSocket ? { webSocket } : {};
    const upstream = connect(server.ws, given);
    const far = connect(server.ws, given);
    const broker = await Broker.create({ token: "root", access: "scoped" });
    const near = broker.client({ token: "root" });
    const bridge = broker.bridge(upstream, { up: [["a"], ["a", "b"], ["b"]], down: [["a"], ["c"], ["a", "c"]] });
    await bridge.ready;
    const nearGot = /** @type {string[]} */ ([]);
    const farGot = /** @type {string[]} */ ([]);
    await near.subscribe(["a"], ({ text }) => void nearGot.push(text)).ready;
    await near.subscribe(["c"], ({ text }) => void nearGot.push(`c ${text}`)).ready;
    await far.subscribe(["a"], ({ text }) => void farGot.push(text)).ready;
    await far.subscribe(["b"], ({ text }) => void farGot.push(`b ${text}`)).ready;
    await near.publish(["a", "b"], { up: 1 });
    await near.publish(["c"], "not up");
    await until(() => farGot.length === 2, () => farGot.join());
    await far.publish(["a", "c"], "down");
    await far.publish(["b"], "not down");
    await until(() => nearGot.length === 2, () => nearGot.join());
    await Promise.all([far.ping(), upstream.ping(), near.ping()]);
    await tools.turn();
    await upstream.ping();
    equal([farGot.sort(), nearGot.sort()], [['b {"up":1}', '{"up":1}'], ["c down", "down"]]);

    // Without a connection what goes up is lost, and what comes after it is not.
    const waiting = next(upstream, "close");
    const reopened = next(upstream, "open");
    const back = next(far, "open");
    await server.kill();
    await waiting;
    await near.publish(["a"], "lost");
    await server.start();
    await Promise.all([reopened, back]);
    await near.publish(["a"], "found");
    await until(() => farGot.includes("found"));
    ok(!farGot.includes("lost"));

    await bridge.close();
    bridge[Symbol.dispose]();
    equal([upstream.state, await upstream.list(), broker.stats().sessions], ["open", [], 1]);
    await Promise.all([upstream.close(), far.close(), broker.close()]);
  });

  test("what cannot pass over a bridge is told, and the rest passes", async () => {
    const [broker, other] = [await Broker.create(), await Broker.create()];
    const { port1, port2 } = new MessageChannel();
    other.attach(port2);
    const upstream = connect(port1);
    const [near, far] = [broker.client(), other.client()];
    /** @type {string[]} */
    const got = [];
    await far.subscribe(["a"], ({ text }) => void got.push(text)).ready;
    const loop = /** @type {Record<string, unknown>} */ ({});
    loop["loop"] = loop;
    /** @type {any[]} */
    const told = [];
    const uncaught = tools.catchReports();
    const onError = (/** @type {unknown} */ error) => void told.push(error);
    for (const options of [{ up: [["a"]], onError }, { up: [["a"]] }]) {
      const bridge = broker.bridge(upstream, options);
      await bridge.ready;
      await near.publish(["a"], loop);
      await near.publish(["a"], 5n);
      await near.publish(["a"], "good");
      const heard = options.onError ? told : uncaught.errors;
      await until(() => heard.length === 2 && got.length === 1, () => `${heard.length} errors, ${got.length} messages`);
      equal([got.splice(0), told.length, ...heard.map(({ code }) => code)], [["good"], 2, "invalid-data", "invalid-data"]);
      await bridge.close();
    }
    uncaught.end();
    await Promise.all([upstream.close(), broker.close(), other.close()]);
  });

  test("a bridge that cannot be is refused, and leaves nothing behind", async () => {
    const [broker, other] = [await Broker.create(), await Broker.create()];
    const upstream = other.client();
    await rejects(() => broker.bridge(upstream, {}), { name: "MistError", code: "missing-tags" });
    await rejects(() => broker.bridge(upstream, { up: [["a"]], down: [["b"], []] }), { code: "missing-tags" });
    await rejects(() => broker.bridge(upstream, { up: /** @type {any} */ (["a"]) }), { code: "invalid-argument" });
    const over = new AbortController();
    over.abort();
    broker.bridge(upstream, { up: [["a"]], down: [["b"]], signal: over.signal });
    await until(() => broker.stats().sessions === 0);
    await upstream.ping();
    equal(await upstream.list(), []);
    await upstream.close();
    await rejects(() => broker.bridge(upstream, { up: [["a"]], down: [["b"]] }), { code: "closed" });
    await until(() => broker.stats().sessions === 0);
    await Promise.all([broker.close(), other.close()]);
  });

  test("a worker and a frame are clients by their ports", async () => {
    const broker = await Broker.create();
    const near = broker.client();
    /** @type {string[]} */
    const got = [];
    await near.subscribe(["from"], ({ text }) => void got.push(text)).ready;
    /** @param {string} where */
    const body = (where) => `
      async function begin(mist, port) {
        const client = mist.connect(port);
        client.subscribe(["to"], ({ text }) => client.publish(["from"], "${where} got " + text));
        await client.ready;
        await client.publish(["from"], "${where} is here");
      }`;
    /** @type {(() => unknown)[]} */
    const ends = [];
    const port = () => {
      const { port1, port2 } = new MessageChannel();
      ends.push(broker.attach(port1));
      return port2;
    };
    if (tools.place === "node") {
      // By name, so that the page's import map need not know it.
      const [{ Worker }, mist] = await Promise.all([import(/** @type {any} */ ("node:worker_threads")), import.meta.resolve("mist-pubsub")]);
      const source = `${body("worker")} require("node:worker_threads").parentPort.once("message", async (port) => begin(await import("${mist}"), port));`;
      const worker = new Worker(source, { eval: true });
      ends.push(() => worker.terminate());
      const end = port();
      worker.postMessage(end, [end]);
    } else {
      const mist = new URL("/dist/page/index.js", location.href).href;
      const source = `${body("worker")} onmessage = async ({ data }) => begin(await import("${mist}"), data);`;
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
      ends.push(() => worker.terminate());
      const end = port();
      worker.postMessage(end, [end]);
      const frame = document.createElement("iframe");
      frame.srcdoc = `<script type="module">${body("frame")} addEventListener("message", async ({ ports }) => begin(await import("${mist}"), ports[0]), { once: true }); parent.postMessage("ready", "*");</script>`;
      const loaded = new Promise((resolve) => addEventListener("message", resolve, { once: true }));
      document.body.append(frame);
      ends.push(() => frame.remove());
      await loaded;
      const other = port();
      frame.contentWindow?.postMessage("port", "*", [other]);
    }
    const guests = tools.place === "node" ? ["worker"] : ["frame", "worker"];
    await until(() => got.length === guests.length, () => got.join());
    equal(got.splice(0).sort(), guests.map((guest) => `${guest} is here`));
    equal(await near.publish(["to"], "x", { ack: true }), { delivered: guests.length });
    await until(() => got.length === guests.length, () => got.join());
    equal(got.sort(), guests.map((guest) => `${guest} got x`));
    for (const end of ends) await end();
    equal(broker.stats().sessions, 1);
    await broker.close();
  });
}
