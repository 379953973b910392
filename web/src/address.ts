/** Owns what counts as the address of a server. It connects to none. */

/** Where a server is that was started without further ado. */
export const defaultServer = "ws://127.0.0.1:8888";

/** Where it takes what is no page. */
export const tcpPort = "1445";

const schemes = ["ws:", "wss:", "http:", "https:"];

/** What was typed, as an address: `localhost:8888` is one too. Nothing when it is none. */
export function addressOf(typed: string): string | undefined {
  const text = typed.trim();
  const address = text.includes("://") ? text : `ws://${text}`;
  // Some browsers take a blank for a part of the host's name.
  if (/\s/.test(address) || !URL.canParse(address)) return undefined;
  const { protocol, host } = new URL(address);
  return schemes.includes(protocol) && host !== "" ? address : undefined;
}

/** The host of an address, as people say it. */
export function hostOf(address: string): string {
  return new URL(address).host;
}

/** Whether an address is on this machine. */
export function isLoopback(address: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(address).hostname);
}

/** The address of the server that served this page. */
export function ownServer(): string {
  const url = new URL("./", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
