/** Owns the switch between this browser and a server, and says how the connection stands. It makes no connection. */

import { addressOf, defaultServer, hostOf, ownServer } from "./address.js";
import { byId, h } from "./dom.js";
import { change, state } from "./state.js";
import type { Place, Standing } from "./wire.js";

interface Options {
  readonly go: (place: Place) => void;
  readonly announce: (text: string) => void;
}

/** The switch, the lamp with its text, the form for another server, and what is said while there is no broker. */
export class Connection {
  readonly #options: Options;
  readonly #pill = byId("standing");
  readonly #text = byId("standing-text");
  readonly #panel = byId("server-panel");
  readonly #url = byId<HTMLInputElement>("server-url");
  readonly #token = byId<HTMLInputElement>("server-token");
  readonly #away = byId("away");
  /** Whether a mist server is behind this page; unknown until it has answered. */
  #ownServer: boolean | undefined;
  /** The address the visitor agreed to: a link alone must not make a page connect somewhere else. */
  #agreed = recall();
  #place: Place | undefined;
  #said = "";
  #standing: Standing | undefined;
  /** Whether the last attempt at this place failed: until the next is made, what was said stays. */
  #hasFailed = false;
  #ticking = 0;

  constructor(options: Options) {
    this.#options = options;
    for (const mode of ["page", "server"] as const) {
      byId<HTMLInputElement>(`mode-${mode}`).addEventListener("change", () => change({ mode }));
    }
    byId<HTMLFormElement>("server-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#connect();
    });
    this.#url.addEventListener("input", () => this.#complain(""));
    byId("try-again").addEventListener("click", () => this.#place && this.#options.go(this.#place));
    byId("go-home").addEventListener("click", () => {
      change({ mode: "page" });
      byId("mode-page").focus();
    });
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
    this.#hasFailed = false;
    this.#options.go(asked);
  }

  /** Shows how the connection stands. */
  show(standing: Standing): void {
    this.#standing = standing;
    if (standing.phase !== "connecting") this.#hasFailed = standing.phase !== "open";
    this.#draw();
    clearInterval(this.#ticking);
    if (standing.phase === "waiting") this.#ticking = window.setInterval(() => this.#draw(), 250);
  }

  /** Whether the board's broker is in this browser; and where its messages would be reached from outside. */
  address(): { isInPage: boolean; url: string } {
    if (this.#place?.kind === "server") return { isInPage: false, url: this.#place.url };
    return { isInPage: true, url: this.#ownServer ? ownServer() : defaultServer };
  }

  #connect(): void {
    const typed = this.#url.value.trim();
    const address = typed === "" ? "" : addressOf(typed);
    if (address === undefined) {
      this.#complain(`“${typed}” is not the address of a server. One looks like ${defaultServer}.`);
      this.#url.focus();
      return;
    }
    this.#complain("");
    this.#agreed = address;
    remember(address);
    this.#place = undefined;
    change({ mode: "server", server: address });
  }

  #complain(text: string): void {
    byId("server-error").textContent = text;
    this.#url.setAttribute("aria-invalid", String(text !== ""));
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
      note.textContent = "Open this page on a second machine, or publish from a terminal: both reach the same subscribers.";
    } else if (server) {
      note.textContent = `This link asks for the server ${server}. Press Connect if you trust it; until then the board stays in your browser.`;
    } else if (this.#ownServer === false) {
      note.replaceChildren(
        "This page comes from a plain file server: there is no mist behind it. Start one with ",
        h("code", {}, "mist serve"),
        " and open http://127.0.0.1:8080, or give the address of one. Until then the board stays in your browser.",
      );
    } else note.textContent = "Looking for a server behind this page …";
  }

  #draw(): void {
    const standing = this.#standing;
    if (!standing) return;
    const { phase } = standing;
    this.#pill.dataset.phase = phase;
    // What is wrong is said once, where one looks; here the lamp is enough.
    this.#text.textContent = this.#hasFailed ? "" : describe(standing);
    this.#away.hidden = !this.#hasFailed;
    document.body.dataset.away = String(this.#hasFailed);
    byId("subscribers").inert = this.#hasFailed;
    if (this.#hasFailed) {
      byId("away-what").textContent = what(standing);
      if (phase !== "connecting") byId("away-why").textContent = `${capital(standing.reason || "no connection")}.`;
      byId("away-when").textContent = when(standing);
      byId("go-home").hidden = standing.place.kind === "page";
    }
    // A countdown, and why each attempt failed, is for the eyes; the ears hear once that there is no connection.
    const said = this.#hasFailed ? what(standing) : describe(standing);
    if (phase === "connecting" || said === this.#said) return;
    this.#said = said;
    this.#options.announce(this.#hasFailed ? `${said} ${byId("away-why").textContent}` : said);
  }
}

function describe({ place, phase, shared }: Standing): string {
  if (place.kind === "page") {
    if (phase === "connecting") return "Starting the broker …";
    return `The broker runs in this browser${shared ? ", for all your tabs" : ""}. Nothing leaves it.`;
  }
  const where = hostOf(place.url);
  return phase === "connecting" ? `Connecting to ${where} …` : `Connected to ${where}: other programs’ messages arrive here too.`;
}

function what({ place, phase }: Standing): string {
  if (place.kind === "page") return "The broker of this page is not there.";
  return phase === "closed" ? `${hostOf(place.url)} does not let this page in.` : `No connection to ${hostOf(place.url)}.`;
}

function when({ phase, retryAt }: Standing): string {
  if (phase === "connecting") return "Trying again …";
  if (phase === "closed" || retryAt === undefined) return "";
  return `Trying again in ${Math.max(0, Math.ceil((retryAt - performance.now()) / 1000))} s.`;
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
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
