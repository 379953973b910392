/** Owns the switch between this browser and a server, and says how the connection stands. It makes no connection. */

import { addressOf, defaultServer, hostOf, isLoopback, ownServer, tcpPort } from "./address.js";
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
  /** Whether there ever was a connection to this place. */
  #wasOpen = false;
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
    byId("try-again").addEventListener("click", () => {
      if (this.#isRefused) {
        this.#token.focus();
        this.#token.select();
      } else if (this.#place) this.#options.go(this.#place);
    });
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
    if (asked && JSON.stringify(asked) !== JSON.stringify(this.#place)) {
      this.#place = asked;
      this.#hasFailed = this.#wasOpen = false;
      this.#options.go(asked);
    }
    this.#explain();
  }

  /** Shows how the connection stands. */
  show(standing: Standing): void {
    this.#standing = standing;
    if (standing.phase !== "connecting") this.#hasFailed = standing.phase !== "open";
    if (standing.phase === "open") this.#wasOpen = true;
    this.#draw();
    this.#explain();
    clearInterval(this.#ticking);
    if (standing.phase === "waiting") this.#ticking = window.setInterval(() => this.#draw(), 250);
  }

  /** Whether there is no broker: the last attempt has failed. */
  get isAway(): boolean {
    return this.#hasFailed;
  }

  /** Whether the server wants another token: without one it is of no use to try again. */
  get #isRefused(): boolean {
    return this.#standing?.phase === "closed" && this.#standing.place.kind === "server";
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

  #explain(): void {
    const { mode, server } = state();
    if (mode === "page") return;
    const note = byId("server-note");
    if (this.#place?.kind === "server" && (!server || server === this.#agreed)) {
      note.textContent = this.#hint(this.#place.url);
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

  /** What can be done with the server, or about it. */
  #hint(url: string): string {
    if (this.#isRefused) return "This server lets in who has a token: enter one, and press Connect.";
    if (this.#hasFailed && this.#wasOpen) return "Until the server is back nothing is published. Then the subscribers go on by themselves.";
    if (this.#hasFailed) return `A server’s address is that of its ws or http listener, such as ${defaultServer}.`;
    if (isLoopback(url)) return "Publish from a terminal or a program on this machine: it reaches the same subscribers.";
    return "Open this page on a second machine, or publish from a terminal: both reach the same subscribers.";
  }

  #why({ place, reason }: Standing): string {
    const why = `${capital(reason || "there is none")}.`;
    return place.kind === "server" && !this.#wasOpen && !this.#isRefused ? `${why} ${doubt(place.url)}` : why;
  }

  #draw(): void {
    const standing = this.#standing;
    if (!standing) return;
    const { phase } = standing;
    this.#pill.dataset.phase = phase;
    // What is wrong is said once, where one looks; here in two words.
    const inBrief = this.#isRefused ? "Not let in" : "Not connected";
    this.#text.textContent = this.#hasFailed ? inBrief : describe(standing);
    this.#away.hidden = !this.#hasFailed;
    document.body.dataset.away = String(this.#hasFailed);
    byId("subscribers").inert = this.#hasFailed;
    if (this.#hasFailed) {
      byId("away-what").textContent = what(standing);
      if (phase !== "connecting") byId("away-why").textContent = this.#why(standing);
      byId("away-when").textContent = when(standing);
      byId("try-again").textContent = this.#isRefused ? `Enter ${this.#token.value ? "another" : "a"} token` : "Try now";
      byId("go-home").hidden = standing.place.kind === "page";
    }
    // A countdown, and why each attempt failed, is for the eyes; the ears hear once that there is no connection.
    const said = this.#hasFailed ? what(standing) : describe(standing);
    if (phase === "connecting" || said === this.#said) return;
    this.#said = said;
    this.#options.announce(this.#hasFailed ? `${said} ${byId("away-why").textContent}` : said);
  }
}

/** What can be wrong with an address where nobody has answered: a browser does not tell a page more. */
function doubt(url: string): string {
  const { host, port } = new URL(url);
  if (port === tcpPort) return `Port ${tcpPort} is a server’s for tcp: a page needs that of ws or http, such as ${new URL(defaultServer).port}.`;
  return `Is there a mist server at ${host}, and is it the port of ws or http, not of tcp?`;
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
  if (phase === "closed") return "";
  const seconds = Math.ceil(((retryAt ?? 0) - performance.now()) / 1000);
  return phase === "connecting" || seconds <= 0 ? "Trying again …" : `Trying again in ${seconds} s.`;
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
