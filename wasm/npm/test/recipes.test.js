/**
 * Owns that the README's recipe for tokens works as it stands there: a backend that makes JWTs, a server that verifies
 * them, and pages that obtain them.
 */

import { spawn } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "mist-pubsub";
import { WebSocket } from "ws";
import { equal, ok, rejects } from "./harness/assert.js";
import { findChromium, openPage, startChromium } from "./harness/chromium.js";
import { block } from "./harness/readme.js";
import { startServer } from "./harness/server.js";
import { serve } from "./harness/site.js";
import { next, until } from "./harness/wait.js";
import { path } from "../scripts/places.js";

const skip = findChromium() === undefined && "there is no Chromium here; MIST_CHROMIUM can name one";

/** What stands for an application's own sessions: the users by their cookies, in a file that the test writes. */
const SESSION = `
  import { readFileSync } from "node:fs";
  export const userOf = ({ headers }) => JSON.parse(readFileSync("users.json", "utf8"))[headers.cookie];`;

const READER = { name: "reader", mayWrite: false };
const WRITER = { name: "writer", mayWrite: true };

let folder = "";
let backend = "";
/** Where pages find their files and the backend behind one name, as behind a proxy. */
let front = "";
/** @type {(() => unknown)[]} */
const endings = [];
/** @type {import("./harness/server.js").Server} */
let server;
/** @type {import("node:child_process").ChildProcess} */
let child;
/** @type {import("playwright-core").Browser | undefined} */
let browser;

/** @param {Readonly<Record<string, object>>} users */
const signIn = (users) => writeFile(join(folder, "users.json"), JSON.stringify(users));

/** A port that nobody has. */
async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (listener.address());
  await new Promise((resolve) => listener.close(resolve));
  return String(port);
}

/** Serves the site at one address with the backend's `/token`. */
async function startFront() {
  const site = await serve(path("."), { "/viewer": await viewer() });
  const server = createServer((asked, response) => {
    const target = asked.url === "/token" ? backend : site.url;
    const passed = request(target + asked.url, { headers: asked.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.writeHead(502).end());
    passed.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  endings.push(site.close, () => server.closeAllConnections(), () => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return `http://127.0.0.1:${port}`;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mist-recipes-"));
  const port = await freePort();
  backend = `http://127.0.0.1:${port}`;
  await symlink(path("node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(join(folder, "session.js"), SESSION);
  // Short enough for several in a test; the server lets them live for five seconds more.
  await writeFile(join(folder, "backend.js"), await block("SignJWT", { "15 minutes": "5 seconds", 8000: port }));
  await signIn({ "user=r": READER, "user=w": WRITER });
  child = spawn(process.execPath, ["backend.js"], { cwd: folder, stdio: "inherit" });
  const keys = await until(() => fetch(`${backend}/keys.json`).catch(() => undefined));
  ok(keys.ok);
  const started = await block("mist serve", { 8000: port });
  const flags = [...started.matchAll(/(--\w+) ("[^"]+"|\S+)/g)].flatMap(([, flag = "", value = ""]) => [flag, value.replaceAll('"', "")]);
  server = await startServer(flags);
  front = await startFront();
  if (!skip) browser = await startChromium();
});

after(async () => {
  await browser?.close();
  for (const end of endings) await end();
  await server?.kill();
  child?.kill();
  await rm(folder, { recursive: true, force: true });
});

/** A token for a user, as the backend gives it. @param {string} cookie */
async function tokenOf(cookie) {
  const response = await fetch(`${backend}/token`, { headers: { cookie } });
  equal(response.status, 200);
  return response.text();
}

/** A page with the README's client in it, which notes what it hears. */
async function viewer() {
  const client = await block("UnauthorizedError", { "ws://localhost:8888": server.ws });
  return `<!doctype html><link rel="icon" href="data:,">
    <script type="importmap">{ "imports": { "mist-pubsub": "/dist/page/index.js" } }</script>
    <script type="module">
      ${client}
      globalThis.got = [];
      globalThis.told = [];
      for (const event of ["state", "open", "close", "error", "dropped"]) client.on(event, (it) => told.push([event, it.code ?? it.reason ?? it]));
      globalThis.subscription = client.subscribe(["news"], ({ text }) => got.push(Number(text)));
      globalThis.client = client;
    </script>`;
}

/**
 * Opens the page for a user, and counts the tokens that it asks for.
 * @param {string} cookie
 */
async function openViewer(cookie) {
  if (!browser) throw new Error("the browser has not started");
  const context = await browser.newContext();
  const [name = "", value = ""] = cookie.split("=");
  await context.addCookies([{ name, value, url: front }]);
  let asked = 0;
  context.on("request", (request) => void (asked += Number(request.url().endsWith("/token"))));
  const { page } = await openPage(context, `${front}/viewer`);
  await page.waitForFunction("globalThis.client");
  await page.evaluate("subscription.ready");
  return { page, asked: () => asked, close: () => context.close() };
}

const given = { webSocket: WebSocket };

test("a viewer reads across the end of its tokens without losing a message, and cannot publish", { skip }, async () => {
  const viewer = await openViewer("user=r");
  const writer = connect(server.ws, { ...given, token: () => tokenOf("user=w") });
  await writer.ready;
  /** @type {string[]} */
  const told = [];
  for (const type of /** @type {const} */ (["close", "error", "state"])) writer.on(type, (event) => void told.push(`${type} ${event}`));
  let published = 0;
  // The first is asked for to connect, the others while messages come.
  while (viewer.asked() < 3) {
    equal(await writer.publish(["news"], String(published), { ack: true }), { delivered: 1 });
    published += 1;
    // About as fast as a busy feed.
    await delay(5);
  }
  equal(told, [], "the writer's tokens end, too");
  const got = await viewer.page.waitForFunction((count) => globalThis.got.length >= count && globalThis.got, published);
  equal(await got.jsonValue(), Array.from({ length: published }, (_, number) => number));
  const refusal = await viewer.page.evaluate(() =>
    globalThis.client.publish(["news"], "x", { ack: true }).catch((/** @type {any} */ error) => [error.code, error.serverCode]),
  );
  equal(refusal, ["refused", "not-granted"]);
  equal(await viewer.page.evaluate("told"), [["state", "open"], ["open", { resumed: false }]]);
  await writer.close();
  await viewer.close();
});

test("who is signed out gets no more tokens, and nothing more once the last one has ended", { skip }, async () => {
  const viewer = await openViewer("user=r");
  await signIn({ "user=w": WRITER });
  await viewer.page.waitForFunction(() => globalThis.client.state === "closed");
  const told = await viewer.page.evaluate("told");
  ok(JSON.stringify(told).includes('["error","auth"]'), JSON.stringify(told));
  await viewer.close();
  await signIn({ "user=r": READER, "user=w": WRITER });
});

test("a client that keeps its token loses what it granted when it ends", async () => {
  const reader = connect(server.ws, { ...given, token: await tokenOf("user=r") });
  const error = next(reader, "error");
  const closed = next(reader, "state", (state) => state === "closed");
  await reader.subscribe(["news"]).ready;
  equal([(await error).serverCode, await closed], ["token-expired", "closed"]);
  equal((await rejects(reader.ping(), { code: "auth" })).serverCode, "token-expired");
  const writer = connect(server.ws, { ...given, token: () => tokenOf("user=w") });
  equal(await writer.publish(["news"], "x", { ack: true }), { delivered: 0 });
  await writer.close();
});
