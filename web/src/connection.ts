/** Owns the switch between this page and a server, and says how the connection stands. It makes no connection. */

import { byId, h } from "./dom.js";
import { defaultServer } from "./snippets.js";
import { change, state } from "./state.js";
import { ownServer, type Place, type Standing } from "./wire.js";

interface Options {
  readonly go: (place: Place) => void;
  readonly announce: (text: string) => void;
}

/** The switch, the lamp with its text, and the form for another server. */
export class Connection {
  readonly #options: Options;
  readonly #pill = byId("standing");
  readonly #text = byId("standing-text");
  readonly #panel = byId("server-panel");
  readonly #url = byId<HTMLInputElement>("server-url");
  readonly #token = byId<HTMLInputElement>("server-token");
  readonly #again = byId<HTMLButtonElement>("try-again");
  /** Whether a mist server is behind this page; unknown until it has answered. */
  #ownServer: boolean | undefined;
  /** The address the visitor agreed to: a link alone must not make a page connect somewhere else. */
  #agreed = recall();
  #place: Place | undefined;
  #said = "";
  #standing: Standing | undefined;
  #ticking = 0;

  constructor(options: Options) {
    this.#options = options;
    for (const mode of ["page", "server"] as const) {
      byId<HTMLInputElement>(`mode-${mode}`).addEventListener("change", () => change({ mode }));
    }
    byId<HTMLFormElement>("server-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#agreed = addressOf(this.#url.value.trim());
      remember(this.#agreed);
      this.#place = undefined;
      change({ mode: "server", server: this.#agreed });
    });
    this.#again.addEventListener("click", () => this.#place && this.#options.go(this.#place));
    void isMistServer().then((found) => {
      this.#ownServer = found;
      this.follow();
    });
  }

  /** Goes where the state says. */
  follow(): void {
    const { mode, server } = state();
    byId<HTMLInputElement>(`mode-${mode}`).checked = true;
    if (document.activeElement !== this.#url) this.#url.value = server;
    this.#url.placeholder = this.#ownServer ? ownServer() : defaultServer;
    this.#panel.hidden = mode === "page";
    const asked = this.#asked(mode, server);
    this.#explain(mode, server, asked);
    if (!asked || JSON.stringify(asked) === JSON.stringify(this.#place)) return;
    this.#place = asked;
    this.#options.go(asked);
  }

  /** Shows how the connection stands. */
  show(standing: Standing): void {
    this.#standing = standing;
    this.#draw();
    clearInterval(this.#ticking);
    if (standing.phase === "waiting") this.#ticking = window.setInterval(() => this.#draw(), 250);
  }

  /** Where the board's messages would be reached from outside. */
  address(): string {
    if (this.#place?.kind === "server") return this.#place.url;
    return this.#ownServer ? ownServer() : defaultServer;
  }

  /** Where to go; nothing when there is no server to go to. Then the board stays where it is. */
  #asked(mode: "page" | "server", server: string): Place | undefined {
    if (mode === "page") return { kind: "page" };
    if (server && server !== this.#agreed) return this.#place ?? { kind: "page" };
    if (server) return { kind: "server", url: server, token: this.#token.value };
    if (this.#ownServer) return { kind: "server", url: ownServer(), token: this.#token.value };
    return this.#ownServer === undefined && this.#place === undefined ? undefined : { kind: "page" };
  }

  #explain(mode: "page" | "server", server: string, asked: Place | undefined): void {
    if (mode === "page") return;
    const note = byId("server-note");
    if (asked?.kind === "server") {
      note.textContent =
        "The same board, the same code; only the client is another. Open this page on a second machine, or publish from a terminal.";
    } else if (server) {
      note.textContent = `This link asks for the server ${server}. Press Connect if you trust it; until then the board stays in this page.`;
    } else if (this.#ownServer === false) {
      note.replaceChildren(
        "This page comes from a plain file server: there is no mist behind it. Start one with ",
        h("code", {}, "mist --server"),
        " and open http://127.0.0.1:8080, or give the address of one. Until then the board stays in this page.",
      );
    } else note.textContent = "Looking for a server behind this page …";
  }

  #draw(): void {
    const standing = this.#standing;
    if (!standing) return;
    const text = describe(standing);
    this.#pill.dataset.phase = standing.phase;
    this.#text.textContent = text;
    this.#again.hidden = standing.phase !== "waiting" && standing.phase !== "closed";
    // A countdown is for the eyes; the ears hear it once.
    const said = standing.phase === "waiting" ? `Connection lost: ${standing.reason}. Trying again.` : text;
    if (said !== this.#said && standing.phase !== "connecting") this.#options.announce(said);
    if (standing.phase !== "connecting") this.#said = said;
  }
}

function describe({ place, phase, reason, retryAt, shared }: Standing): string {
  const where = place.kind === "page" ? "this page" : hostOf(place.url);
  switch (phase) {
    case "open":
      if (place.kind === "server") return `Connected to ${where}`;
      return shared ? "Broker in this page, shared by your tabs" : "Broker in this page; this browser lets tabs share none";
    case "connecting":
      return place.kind === "page" ? "Starting the broker …" : `Connecting to ${where} …`;
    case "waiting": {
      const seconds = Math.max(0, Math.ceil(((retryAt ?? performance.now()) - performance.now()) / 1000));
      return `${capital(reason || "no connection")} – again in ${seconds} s`;
    }
    case "closed":
      return `Closed: ${reason || "no connection"}`;
  }
}

/** The address agreed to in this tab, before it was loaded again. */
function recall(): string {
  try {
    return sessionStorage.getItem("mist-server") ?? "";
  } catch {
    return "";
  }
}

function remember(agreed: string): void {
  try {
    sessionStorage.setItem("mist-server", agreed);
  } catch {
    // Where nothing may be kept, it is asked for again.
  }
}

/** What was typed, as an address: `localhost:8888` is one too. */
function addressOf(typed: string): string {
  return typed === "" || typed.includes("://") ? typed : `ws://${typed}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** Asks who served this page. Its own address is there for certain, so that nothing fails and nothing is logged. */
async function isMistServer(): Promise<boolean> {
  try {
    const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
    return answer.headers.has("mist-broker");
  } catch {
    return false;
  }
}
