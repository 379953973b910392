/** Owns how a client gets along with tokens that end: at a port where the test itself is the broker. */

import { UnauthorizedError, connect } from "mist-pubsub";

const EXPIRED = { command: "auth", error: "the token has expired", code: "token-expired" };

/**
 * A client at a port, with tokens `t0`, `t1` and so on unless one is given, and the other side of it.
 * @param {(number: number) => string | Promise<string>} [give]
 */
function open(give = (number) => `t${number}`) {
  const { port1, port2 } = new MessageChannel();
  /** @type {any[]} */
  const heard = [];
  /** @type {(() => void)[]} */
  const wanted = [];
  port2.onmessage = ({ data }) => {
    if (data !== null) heard.push(JSON.parse(data));
    // The other side is gone once this is known.
    else port2.postMessage(null);
    for (const wake of wanted.splice(0)) wake();
  };
  let asked = 0;
  const client = connect(port1, { token: async () => give(asked++) });
  /** @param {object} message */
  const say = (message) => port2.postMessage(JSON.stringify(message));
  return {
    client,
    say,
    asked: () => asked,
    /**
     * Waits for the next message, claims that it is this one, and answers it.
     * @param {{ command: string, data?: string, tags?: string[] }} message
     * @param {object} [answer]
     */
    async expect(message, answer = {}) {
      while (heard.length === 0) await new Promise((resolve) => wanted.push(() => resolve(undefined)));
      const { id, ...rest } = heard.shift();
      if (JSON.stringify(rest) !== JSON.stringify(message)) throw new Error(`not ${JSON.stringify(message)} but ${JSON.stringify(rest)}`);
      say({ command: message.command, ...answer, id });
    },
    async close() {
      await client.close();
      port2.close();
    },
  };
}

/** @type {import("../harness/suite.js").Suite} */
export default function ({ test, assert: { equal, ok, rejects }, next, startServer, webSocket }) {
  test("the next token is presented before the first ends, and nothing else changes", async () => {
    const { client, say, expect, close, asked } = open();
    /** @type {string[]} */
    const told = [];
    const subscription = client.subscribe(["a"], ({ text }) => void told.push(text));
    await expect({ command: "auth", data: "t0" }, { expires_in: 1 });
    await expect({ command: "subscribe", tags: ["a"] });
    await subscription.ready;
    client.on("state", (state) => void told.push(state));
    client.on("error", ({ message }) => void told.push(message));
    await expect({ command: "auth", data: "t1" }, { expires_in: 1 });
    say({ command: "publish", tags: ["a"], data: "between" });
    await expect({ command: "auth", data: "t2" });
    const pong = client.ping();
    await expect({ command: "ping" });
    await pong;
    equal([told, asked()], [["between"], 3]);
    await close();
  });

  test("a token that has ended is replaced, and the subscriptions are restored", async () => {
    const { client, say, expect, close } = open();
    /** @type {string[]} */
    const got = [];
    const one = client.subscribe(["a"], ({ text }) => void got.push(text));
    await expect({ command: "auth", data: "t0" }, { expires_in: 900 });
    await expect({ command: "subscribe", tags: ["a"] });
    await one.ready;
    const reopened = next(client, "open");
    const state = next(client, "state");
    say(EXPIRED);
    equal(await state, "connecting");
    const other = client.subscribe(["b"]);
    await expect({ command: "auth", data: "t1" }, { expires_in: 900 });
    await expect({ command: "subscribe", tags: ["a"] });
    await expect({ command: "subscribe", tags: ["b"] });
    equal(await reopened, { resumed: true });
    await other.ready;
    say({ command: "publish", tags: ["a"], data: "x" });
    const pong = client.ping();
    await expect({ command: "ping" });
    await pong;
    equal([got, one.closed], [["x"], false]);
    await close();
  });

  test("a string that has ended closes the client", async () => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = ({ data }) => {
      if (data === null) return port2.postMessage(null);
      const { command, id } = JSON.parse(data);
      port2.postMessage(JSON.stringify({ command, id, expires_in: 900 }));
      port2.postMessage(JSON.stringify(EXPIRED));
    };
    const client = connect(port1, { token: "t" });
    const error = next(client, "error");
    const closed = next(client, "state", (state) => state === "closed");
    await client.ready;
    equal([(await error).code, (await error).serverCode, await closed], ["auth", "token-expired", "closed"]);
    equal((await rejects(client.ping(), { code: "auth" })).serverCode, "token-expired");
    port2.close();
  });

  test("a function that fails is told and asked again, until it says that there will be no token", async () => {
    const signedOut = new UnauthorizedError("signed out");
    const away = new Error("away");
    const { client, say, expect, asked } = open((number) => {
      if (number === 0) return "t0";
      throw number === 1 ? away : signedOut;
    });
    await expect({ command: "auth", data: "t0" }, { expires_in: 900 });
    await client.ready;
    /** @type {any[]} */
    const errors = [];
    client.on("error", (error) => void errors.push(error));
    const closed = next(client, "close");
    say(EXPIRED);
    equal((await closed).retryInMs, undefined);
    equal(errors.map(({ code, message }) => [code, message]), [["auth", "away"], ["auth", "no token: signed out"]]);
    ok(errors[0].cause === away && errors[1].cause === signedOut);
    equal([client.state, asked()], ["closed", 3]);
    ok((await rejects(client.ping(), { code: "auth" })).cause === signedOut);
  });

  test("a function that always fails is asked no more than once a second, whatever the retry", async () => {
    const server = await startServer();
    let asked = 0;
    const token = () => {
      asked += 1;
      throw asked < 3 ? new Error("away") : new UnauthorizedError("signed out");
    };
    const client = connect(server.ws, { ...(webSocket && { webSocket }), token, retry: { minMs: 0, maxMs: 50 } });
    /** @type {(number | undefined)[]} */
    const waits = [];
    /** @type {string[]} */
    const errors = [];
    client.on("close", ({ retryInMs }) => void waits.push(retryInMs));
    client.on("error", ({ code, message }) => void errors.push(`${code}: ${message}`));
    const error = await rejects(client.ready, { name: "MistError", code: "auth" });
    ok(error.cause instanceof UnauthorizedError && error.cause.name === "UnauthorizedError");
    equal(waits.map((ms) => ms === undefined || (ms >= 1000 && ms <= 1050)), [true, true, true]);
    equal(waits[2], undefined);
    equal(errors, ["auth: away", "auth: away", "auth: no token: signed out"]);
    equal(client.state, "closed");
  });
}
