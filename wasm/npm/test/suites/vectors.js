/** Owns that the client decides as the core's client does: it plays the tables that this one has recorded. */

// By a name that the types of the package need not know: it is none of its entries.
const { Machine } = await import(/** @type {string} */ ("../../dist/modules/machine.js"));

/**
 * @typedef {object} Step
 * @property {number} at
 * @property {[string, ...any[]]} do
 * @property {unknown} [gives]
 * @property {unknown[][]} [then]
 * @property {number} [due]
 */

/** What a client that is told nothing else does everything by, in milliseconds. */
const SETTINGS = { timeout: 10_000, heartbeat: 25_000, retry: [500, 20_000], offline: [-1, 0, 0] };

/** Fractions from the seed of the tables (SplitMix64). */
function chance() {
  let seed = 7n;
  const wrap = (/** @type {bigint} */ number) => BigInt.asUintN(64, number);
  return () => {
    seed = wrap(seed + 0x9e3779b97f4a7c15n);
    let mixed = wrap((seed ^ (seed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = wrap((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return Number((mixed ^ (mixed >> 31n)) >> 32n) / 2 ** 32;
  };
}

/** @param {any} options */
function machine(options) {
  const { timeout, heartbeat, retry, offline } = { ...SETTINGS, ...options };
  const [retryLeast = -1, retryMost = -1] = retry;
  const [offlineMessages, offlineBytes, offlineAge] = offline;
  const settings = { timeout, heartbeat, retryLeast, retryMost, offlineMessages, offlineBytes, offlineAge };
  return new Machine(settings, chance(), 0);
}

/**
 * Does what a step says.
 * @param {any} machine
 * @param {Step} step
 */
function perform(machine, { at, do: [verb, ...args] }) {
  switch (verb) {
    case "begin":
      return undefined;
    case "open":
      return machine.open(at, args[0], args[1] ?? false);
    case "receive":
      return machine.receive(at, args[0]);
    case "lost":
      return machine.lost(at, args[0] ?? undefined, args[1]);
    case "token":
      return machine.token(at, args[0]);
    case "no-token":
      return machine.noToken(at, args[0], args[1]);
    case "timeout":
      return machine.timeout(at);
    case "probe":
      return machine.probe(at);
    case "close":
      return machine.close();
    case "subscribe":
      return machine.subscribe(at, args[0]);
    case "unsubscribe":
      return machine.unsubscribe(at, args[0]);
    case "publish":
      return machine.publish(at, args[0], args[1]);
    case "publish-acked":
      return machine.publishAcked(at, args[0], args[1]);
    case "request":
      return machine.request(at, args[0], args[1], { data: args[2], ttl: args[3] });
    default:
      throw new Error(`no client can ${verb}`);
  }
}

/** An error as the tables have it. @param {any} error */
const failure = ({ code, message, serverCode }) => [code, message, ...(serverCode ? [serverCode] : [])];

/** What an answer says, without what it does not. @param {object} answer */
const said = (answer) =>
  Object.fromEntries(Object.entries(answer).filter(([, value]) => value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0)));

/**
 * An output as the tables have it.
 * @param {any[]} output
 * @returns {any[]}
 */
function told([name, ...args]) {
  switch (name) {
    case "answer":
      return [name, args[0], said(args[1])];
    case "fail":
      return [name, args[0], ...failure(args[1])];
    case "waiting":
      return [name, args[0], Math.floor(args[1])];
    case "unreadable":
      return [name];
    case "message":
      return [name, ...args];
    default:
      return [name, ...args.filter((arg) => arg !== undefined && arg !== "")];
  }
}

/** @type {import("../harness/suite.js").Suite} */
export default async function ({ assert, test, protocolTexts }) {
  const texts = await protocolTexts("vectors");
  let played = 0;
  for (const file of ["client.json", "histories.json"]) {
    /** @type {{ cases: { name: string, options: object, steps: Step[] }[] }} */
    const { cases } = JSON.parse(texts[file] ?? "");
    for (const { name, options, steps } of cases) {
      played += 1;
      test(`${file}: ${name}`, () => {
        const client = machine(options);
        let wanted = -1;
        for (const step of steps) {
          const line = JSON.stringify(step);
          let gives;
          try {
            gives = perform(client, step);
          } catch (error) {
            gives = { error: failure(error) };
          }
          assert.equal(gives, step.gives, line);
          const then = [];
          for (let output; (output = client.poll()); ) then.push(told(output));
          assert.equal(then, step.then ?? [], line);
          wanted = step.due ?? wanted;
          assert.equal(Math.floor(client.due() ?? -1), wanted, line);
        }
      });
    }
  }
  test("there are tables", () => assert.ok(played > 60, `${played} cases`));
}
