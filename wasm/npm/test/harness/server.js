/** Owns the `mist` servers that tests start. It does not know what is tested on them. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** The program to test against; `cargo xtask test` names the one it has built. */
const PROGRAM = process.env["MIST_PROGRAM"] ?? new URL("../../../../target/debug/mist", import.meta.url).pathname;

/**
 * A server in a process of its own.
 * @typedef {object} Server
 * @property {string} tcp
 * @property {string} http
 * @property {string} ws
 * @property {() => Promise<void>} stop Ends it in good order: it flushes and closes.
 * @property {() => Promise<void>} kill Ends it at once.
 * @property {() => Promise<void>} start Starts it again, at the same addresses.
 * @property {() => Promise<void>} freeze Stops its time: connections stay, nothing is answered.
 * @property {() => Promise<void>} thaw Lets it go on.
 */

/**
 * Starts a server on free ports.
 * @param {readonly string[]} [args] further flags, such as `["--token", "s3cret"]`
 * @returns {Promise<Server>}
 */
export async function startServer(args = []) {
  let running = await run(args, ["tcp://127.0.0.1:0", "http://127.0.0.1:0", "ws://127.0.0.1:0"]);
  const { addresses } = running;
  const [tcp = "", http = "", ws = ""] = addresses;
  return {
    tcp,
    http,
    ws,
    stop: () => running.end("SIGTERM"),
    kill: () => running.end("SIGKILL"),
    start: async () => {
      running = await run(args, addresses);
    },
    freeze: async () => running.signal("SIGSTOP"),
    thaw: async () => running.signal("SIGCONT"),
  };
}

/**
 * @param {readonly string[]} args
 * @param {readonly string[]} listeners
 */
async function run(args, listeners) {
  const all = ["--server", "--listeners", listeners.join(","), ...args];
  const child = spawn(PROGRAM, all, { stdio: ["ignore", "ignore", "pipe"], env: environment() });
  const ended = new Promise((resolve) => child.once("close", resolve));
  /** @type {string[]} */
  const addresses = [];
  const log = [];
  // A server that is forgotten must not outlive its tests.
  const sweep = () => child.kill("SIGKILL");
  process.once("exit", sweep);
  child.once("error", (error) => log.push(`cannot start ${PROGRAM} (MIST_PROGRAM names another): ${error.message}`));
  for await (const line of createInterface(child.stderr)) {
    log.push(line);
    const address = / listening at '(.+)'$/.exec(line)?.[1];
    if (address !== undefined && addresses.push(address) === listeners.length) break;
  }
  if (addresses.length < listeners.length) throw new Error(`the server does not start:\n${log.join("\n")}`);
  // What it writes from now on must not fill the pipe.
  child.stderr.resume();
  return {
    addresses,
    /** @param {NodeJS.Signals} name */
    signal: (name) => void child.kill(name),
    /** @param {NodeJS.Signals} name */
    end: async (name) => {
      child.kill("SIGCONT");
      child.kill(name);
      await ended;
      process.off("exit", sweep);
    },
  };
}

/** The environment without what would configure the server. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MIST_")));
}
