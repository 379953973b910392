/** Owns that the broker of a page speaks the protocol to the byte: it plays the transcripts over ports. */

import { Broker } from "mist-pubsub";

const PING = '{"command":"ping"}';
const PONG = '{"command":"ping","data":"pong"}';

/** @param {string} text `key=value` pairs */
const pairs = (text) => new Map(text.split(" ").filter(Boolean).map((pair) => /** @type {[string, string]} */ (pair.split(/=(.*)/s, 2))));

/** The other side of a port: one message after the other; `null` when the broker has closed it. */
class Connection {
  /** @type {(string | null)[]} */
  #come = [];
  #wake = () => {};

  /** @param {Broker} broker @param {Map<string, string>} options */
  constructor(broker, options) {
    const { port1, port2 } = new MessageChannel();
    broker.attach(port2);
    this.port = port1;
    port1.onmessage = ({ data }) => {
      this.#come.push(data);
      this.#wake();
    };
    const token = options.get("token");
    if (token !== undefined) port1.postMessage(JSON.stringify({ command: "auth", data: token }));
  }

  async next() {
    while (this.#come.length === 0) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    return /** @type {string | null} */ (this.#come.shift());
  }
}

/** @param {string} pattern in which `*` stands for any text @param {string} text */
function isLike(pattern, text) {
  const escaped = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".*")}$`, "s").test(text);
}

/** @type {import("../harness/suite.js").Suite} */
export default async function ({ assert, test, protocolTexts }) {
  /** @param {string[]} lines */
  const play = async (lines) => {
    const settings = new Map(lines.flatMap((line) => (line.startsWith("server: ") ? [...pairs(line.slice(8))] : [])));
    const { token, access, authenticator: _, ...limits } = Object.fromEntries(settings);
    const broker = await Broker.create({
      ...(token === undefined ? {} : { token }),
      ...(access === undefined ? {} : { access: /** @type {"open"} */ (access) }),
      limits: Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, Number(value)])),
    });
    /** @type {Map<string, Connection>} */
    const clients = new Map();
    const client = (/** @type {string} */ name) => {
      const found = clients.get(name) ?? new Connection(broker, new Map());
      clients.set(name, found);
      return found;
    };
    /** @param {string} name @param {string} step */
    const barrier = async (name, step) => {
      client(name).port.postMessage(PING);
      assert.equal(await client(name).next(), PONG, step);
    };
    for (const line of lines) {
      const [, name = "", operator, argument = ""] = /^(\w+)(.) (.*)$/s.exec(line) ?? [];
      if (name === "" || line.startsWith("#") || name === "server" || name === "doors") continue;
      const [word = "", rest = ""] = argument.split(/ (.*)/s, 2);
      if (operator === ">") client(name).port.postMessage(argument);
      else if (operator === "<") assert.equal(await client(name).next(), argument, line);
      else if (operator === "~") {
        const came = await client(name).next();
        assert.ok(came !== null && isLike(argument, came), `${line}\ncame: ${came}`);
      } else if (operator !== ":") throw new Error(`a port cannot do this: ${line}`);
      else if (word === "connect") clients.set(name, new Connection(broker, pairs(rest)));
      else if (word === "barrier") await barrier(name, line);
      else if (word === "eof") client(name).port.postMessage(null);
      else if (word === "close" || word === "closed") {
        if (word === "close") {
          client(name).port.postMessage(null);
          // Who leaves does not look at what still comes.
          while ((await client(name).next()) !== null);
        } else {
          assert.equal(await client(name).next(), null, line);
        }
        clients.delete(name);
      } else throw new Error(`an unknown word: ${line}`);
    }
    for (const name of clients.keys()) await barrier(name, `at the end ${name} is quiet`);
    for (const { port } of clients.values()) port.close();
    await broker.close();
  };

  let played = 0;
  for (const [path, text] of Object.entries(await protocolTexts("transcripts"))) {
    const lines = text.split("\n");
    const doors = lines.find((line) => line.startsWith("doors: "))?.slice(7).split(" ");
    if (doors && !doors.includes("port")) continue;
    played += 1;
    test(path, () => play(lines));
  }
  test("most transcripts are for ports too", () => assert.ok(played > 90, `${played} are`));
}
