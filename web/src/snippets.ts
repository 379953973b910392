/** Owns how a message or a subscription is said in other languages, and which broker that reaches. */

import { defaultServer } from "./address.js";
import { linkTo } from "./link.js";

/** The languages, as the visitor chooses them. */
export const languages = { js: "JavaScript", cli: "CLI", curl: "curl", rust: "Rust", link: "Link" } as const;

/** One of them. */
export type Language = keyof typeof languages;

/** What is to be said, and to which broker. */
export interface Wish {
  readonly kind: "message" | "subscriber";
  /** Of a subscriber. */
  readonly name?: string;
  readonly tags: readonly string[];
  /** What a message says. */
  readonly text: string;
  /** Whether the board's broker is in the browser, where nothing from outside reaches it. */
  readonly isInPage: boolean;
  /** The WebSocket address of the board's server; without one, of where a server would be. */
  readonly url: string;
}

/** Says it. */
export function snippet(wish: Wish, language: Language): string {
  const publish = wish.kind === "message";
  switch (language) {
    case "cli":
      return publish ? cliPublish(wish) : cliSubscribe(wish);
    case "curl":
      return publish ? curlPublish(wish) : curlSubscribe(wish);
    case "js":
      return wish.isInPage ? jsBroker(wish) : publish ? jsPublish(wish) : jsSubscribe(wish);
    case "rust":
      return publish ? rustPublish(wish) : rustSubscribe(wish);
    case "link":
      return linkTo(wish.tags, wish.name);
  }
}

/** What has to be said beside it; nothing when it does what it seems to do. */
export function advice({ isInPage, url }: Wish, language: Language): string {
  if (language === "link") return "Opens this board with these tags, wherever its page is.";
  if (!isInPage) return "";
  if (language === "js") return "This board’s broker is in your browser. This makes one like it in a page of your own.";
  return `This board’s broker is in your browser, where no other program reaches it. This is for a server at ${url}: start one with “mist serve”.`;
}

/** Quotes a word for a POSIX shell, if it needs it. */
export function shell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function cliPublish({ tags, text, url }: Wish): string {
  // A word of its own may begin with a dash; after `=` it is no option.
  const data = text.startsWith("-") ? `--data=${shell(text)}` : `--data ${shell(text)}`;
  return `mist publish ${cliHost(url)}${cliTags(tags)} ${data}`;
}

function cliSubscribe({ tags, url }: Wish): string {
  return `mist subscribe ${cliHost(url)}${cliTags(tags)}`;
}

/** Without a host it is the server on this machine, at the port for commands. */
function cliHost(url: string): string {
  if (url === defaultServer) return "";
  return `--host ${shell(url.replace(/\/$/, ""))} `;
}

/** A comma list where the tags allow it. */
function cliTags(tags: readonly string[]): string {
  const plain = tags.every((tag) => tag !== "" && !tag.includes(",") && !tag.startsWith("-"));
  if (plain) return `--tags ${shell(tags.join(","))}`;
  return tags.map((tag) => `--tag=${shell(tag)}`).join(" ");
}

function curlPublish({ tags, text, url }: Wish): string {
  const body = JSON.stringify(text === "" ? { tags } : { tags, data: text });
  return `curl -d ${shell(body)} \\\n  ${shell(`${http(url)}/publish`)}`;
}

function curlSubscribe(wish: Wish): string {
  const { tags, url } = wish;
  // A list is split at commas, and only there.
  if (tags.some((tag) => tag.includes(","))) return `# a tag with a comma cannot be said in an address:\n${cliSubscribe(wish)}`;
  return `curl -N ${shell(`${http(url)}/subscribe?tags=${tags.map(encodeURIComponent).join(",")}`)}`;
}

function http(url: string): string {
  try {
    const { protocol, host } = new URL(url);
    return `${protocol === "wss:" ? "https" : "http"}://${host}`;
  } catch {
    return "http://127.0.0.1:8080";
  }
}

function jsPublish({ tags, text, url }: Wish): string {
  return [
    `import { connect } from "mist-pubsub";`,
    ``,
    `const client = connect(${JSON.stringify(url)});`,
    `await client.publish(${list(tags)}, ${JSON.stringify(text)}, { ack: true });`,
    `await client.close();`,
  ].join("\n");
}

function jsSubscribe({ tags, url }: Wish): string {
  return [
    `import { connect } from "mist-pubsub";`,
    ``,
    `const client = connect(${JSON.stringify(url)});`,
    `client.subscribe(${list(tags)}, (message) => {`,
    `  console.log(message.tags, message.text);`,
    `});`,
  ].join("\n");
}

/** A broker that a page makes itself: one client subscribes, another publishes. */
function jsBroker({ kind, tags, text }: Wish): string {
  return [
    `import { Broker } from "mist-pubsub";`,
    ``,
    `const broker = await Broker.create();`,
    `const [reader, writer] = [broker.client(), broker.client()];`,
    `await reader.subscribe(${list(tags)}, (message) => {`,
    `  console.log(message.tags, message.text);`,
    `}).ready;`,
    `await writer.publish(${list(tags)}, ${JSON.stringify(kind === "message" ? text : "hello")});`,
  ].join("\n");
}

function rustPublish({ tags, text, url }: Wish): string {
  return [
    `let client = mist::Client::connect(${rust(url)}).await?;`,
    `client.publish([${tags.map(rust).join(", ")}], ${rust(text)}).await?;`,
    `client.close().await?;`,
  ].join("\n");
}

function rustSubscribe({ tags, url }: Wish): string {
  return [
    `let client = mist::Client::connect(${rust(url)}).await?;`,
    `let mut messages = client.subscribe([${tags.map(rust).join(", ")}]).await?;`,
    `while let Some(message) = messages.next().await {`,
    `    println!("{:?} {}", message.tags, message.data);`,
    `}`,
  ].join("\n");
}

function list(tags: readonly string[]): string {
  return `[${tags.map((tag) => JSON.stringify(tag)).join(", ")}]`;
}

function rust(text: string): string {
  const escaped = text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  return `"${escaped.replace(/[\x00-\x1f\x7f]/g, (control) => `\\u{${control.charCodeAt(0).toString(16)}}`)}"`;
}
