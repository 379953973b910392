/** The links of `connect`: to a server over a WebSocket, and to a broker behind a port. */

import { LinkedClient } from "./client.js";
import { MistError, textOf } from "./error.js";
import { type Attempt, GOODBYE, type Link, checkSource, leave, patiently } from "./link.js";
import type { Settings } from "./output.js";
import type { Client, ConnectOptions, PortLike, WebSocketLike } from "./types.js";

type WebSocketClass = NonNullable<ConnectOptions["webSocket"]>;

/**
 * Makes a client of a mist server, or of the broker that a port is attached to.
 *
 * Returns at once: what is subscribed meanwhile is taken along, and lost connections are made again.
 * @throws MistError `invalid-url`, `invalid-argument`, or `unsupported` where there is no WebSocket.
 */
export function connect(to: string | URL | PortLike, options: ConnectOptions = {}): Client {
  const { signal } = options;
  const token = checkSource(options.token);
  const settings = settingsOf(options);
  const isPort = typeof to === "object" && to !== null && "postMessage" in to;
  const way = isPort ? portLink(to) : socketLink(urlOf(to), options.webSocket ?? findWebSocket());
  // A port that is closed stays so.
  if (isPort) settings.retryLeast = -1;
  const client = new LinkedClient({ token, ...way }, settings, signal);
  // What is asked for until then is taken along.
  queueMicrotask(() => client.start());
  return client;
}

/** The WebSocket that is there. Node before version 22 has none of its own, but may have that of the package `ws`. */
function findWebSocket(): WebSocketClass | undefined {
  try {
    return (globalThis.WebSocket as WebSocketClass | undefined) ?? fromPackage();
  } catch {
    return undefined;
  }
}

/** What is needed of Node to find a package that is installed for a program, and that no bundler looks for. */
declare const process: {
  readonly argv: readonly string[];
  getBuiltinModule(name: string): { createRequire(from: string): (name: string) => WebSocketClass };
};

function fromPackage(): WebSocketClass {
  return process.getBuiltinModule("module").createRequire(process.argv[1]!)("ws");
}

/** Fills up what was not said. */
export function settingsOf(options: ConnectOptions): Settings {
  const { retry = {}, heartbeatMs = 25_000, timeoutMs = 10_000, offline = "reject", token, signal, webSocket, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown) throw new MistError("invalid-argument", `there is no option ${unknown}`);
  const kept = offline === "reject" ? undefined : offline;
  if (kept !== undefined && (typeof kept !== "object" || kept === null)) {
    throw new MistError("invalid-argument", `offline is "reject", or says how much to keep, not ${String(kept)}`);
  }
  const { minMs = 500, maxMs = 20_000 } = retry || {};
  const { messages = 1000, bytes = 1 << 20, maxAgeMs = 60_000 } = kept ?? {};
  for (const [name, value] of Object.entries({ timeoutMs, heartbeatMs, minMs, maxMs, messages, bytes, maxAgeMs })) {
    if (!Number.isFinite(value) || value < 0) {
      throw new MistError("invalid-argument", `${name}: ${String(value)} is not a number from 0 on`);
    }
  }
  return {
    timeout: timeoutMs,
    heartbeat: heartbeatMs || -1,
    retryLeast: retry ? minMs : -1,
    retryMost: maxMs,
    offlineMessages: kept ? messages : -1,
    offlineBytes: bytes,
    offlineAge: maxAgeMs,
  };
}

function urlOf(given: string | URL): string {
  let url: URL;
  try {
    if (typeof given !== "string" && !(given instanceof URL)) throw new TypeError("neither a string nor a URL");
    url = new URL(given, globalThis.location?.href);
  } catch (error) {
    throw new MistError("invalid-url", `"${String(given)}" is not a URL: a server's is like ws://localhost:8888`, {
      cause: error,
    });
  }
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    const hint = /^\w[\w.-]*:\d+/.test(String(given)) ? `: is ws://${String(given)} meant?` : ": use the server's ws:// or wss://";
    throw new MistError("invalid-url", `cannot connect to ${url.protocol} from here${hint}`);
  }
  url.hash = "";
  return url.href;
}

type Way = Omit<Link, "token">;

function socketLink(url: string, webSocket: WebSocketClass | undefined): Way {
  if (typeof webSocket !== "function") {
    throw new MistError(
      "unsupported",
      "there is no WebSocket here: install the package ws, or pass one as the option webSocket",
    );
  }
  const place = new URL(url).host;
  return {
    dial(attempt: Attempt) {
      let socket: WebSocketLike;
      try {
        socket = new webSocket(url);
      } catch (error) {
        attempt.lost(`cannot connect to ${place}: ${textOf(error)}`);
        return () => {};
      }
      let wasOpen = false;
      socket.onopen = () => {
        wasOpen = true;
        attempt.open(socket);
      };
      socket.onmessage = ({ data }: MessageEvent) => attempt.receive(String(data));
      // What went wrong is not told; the end that follows is.
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }: CloseEvent) => {
        const said = reason ? `: ${reason}` : "";
        attempt.lost(wasOpen ? `connection to ${place} closed (${code})${said}` : `cannot reach ${place}`, code);
      };
      return () => {
        socket.onopen = socket.onmessage = null;
        return patiently((done) => {
          socket.onclose = done;
          socket.close();
        });
      };
    },
    watch,
  };
}

/** Says when the connection may have been lost unnoticed: after sleep, in the background, or with the network. */
function watch(probe: () => void): () => void {
  const { document } = globalThis;
  const onVisible = (): void => {
    if (document.visibilityState === "visible") probe();
  };
  document?.addEventListener("visibilitychange", onVisible);
  globalThis.addEventListener?.("online", probe);
  return () => {
    document?.removeEventListener("visibilitychange", onVisible);
    globalThis.removeEventListener?.("online", probe);
  };
}

/** A link over a port at which a broker listens. */
export function portLink(port: PortLike): Way {
  return {
    dial(attempt) {
      let isGivenUp = false;
      const end = (): void => {
        isGivenUp = true;
        leave(port, lose);
      };
      const lose = (): void => {
        if (isGivenUp) return;
        end();
        attempt.lost("the broker has closed the port");
      };
      const hangUp = async (): Promise<void> => {
        if (isGivenUp) return;
        isGivenUp = true;
        await patiently((done) => {
          port.onmessage = ({ data }: MessageEvent) => data === GOODBYE && done();
          port.addEventListener?.("close", done);
          port.postMessage(GOODBYE);
        });
        leave(port, lose);
      };
      port.addEventListener?.("close", lose);
      port.onmessage = ({ data }: MessageEvent) => (data === GOODBYE ? lose() : attempt.receive(String(data)));
      attempt.open({ send: (text) => port.postMessage(text) });
      return hangUp;
    },
  };
}
