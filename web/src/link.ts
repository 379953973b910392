/** Owns how a board is written into a link. It does not know the page's address or history. */

import { addressOf } from "./address.js";
import { most, type Load, type Publisher, type State, type Subscriber } from "./model.js";
import { typed } from "./tags.js";

// Items are split by `;`, their fields by `:`, lists by `,`. Texts are percent-encoded, so none of them is in a text.

/** The publishers that a first visitor finds, in a link that has subscribers of its own. */
const city = "city";

/** Writes what is other than in `initial`; nothing when nothing is. */
export function encode(state: State, initial: State): string {
  const parts: string[] = [];
  const subscribers = state.subscribers.map(writeSubscriber).join(";");
  if (subscribers !== initial.subscribers.map(writeSubscriber).join(";")) parts.push(`subscribers=${subscribers}`);
  const publishers = state.publishers.map(writePublisher).join(";");
  const isCity = publishers === initial.publishers.map(writePublisher).join(";");
  // Subscribers of one's own have no publishers, unless the link says so.
  if (parts.length > 0 ? publishers !== "" : !isCity) parts.push(`publishers=${isCity ? city : publishers}`);
  const tags = writeTags(state.tags);
  if (tags !== writeTags(initial.tags)) parts.push(`tags=${tags}`);
  if (state.mode !== initial.mode) parts.push(`mode=${state.mode}`);
  if (state.server !== initial.server) parts.push(`server=${encodeURIComponent(state.server)}`);
  const load = writeLoad(state.load);
  if (load !== writeLoad(initial.load)) parts.push(`load=${load}`);
  return parts.join("&");
}

/** A board's link that opens it with these tags to publish, and a subscriber that asks for them if it is given a name. */
export function linkTo(tags: readonly string[], name?: string): string {
  const subscriber = name === undefined ? "" : `subscribers=${writeSubscriber({ id: "", name, tags })}&`;
  return `${location.origin}${location.pathname}#${subscriber}tags=${writeTags(tags)}`;
}

/** Reads a link. What cannot be read is as in `initial`, and the result is not `clean`. */
export function decode(hash: string, initial: State): { state: State; clean: boolean } {
  let state = initial;
  let clean = true;
  let hasPublishers = false;
  for (const part of hash.split("&")) {
    if (part === "") continue;
    const [name, value = ""] = split(part);
    try {
      state = { ...state, ...read(name, value, initial) };
      hasPublishers ||= name === "publishers";
    } catch {
      clean = false;
    }
  }
  if (state.subscribers !== initial.subscribers && !hasPublishers) state = { ...state, publishers: [] };
  return { state, clean };
}

function split(part: string): [string, string?] {
  const at = part.indexOf("=");
  return at < 0 ? [part] : [part.slice(0, at), part.slice(at + 1)];
}

function read(name: string, value: string, initial: State): Partial<State> {
  switch (name) {
    case "subscribers":
      return { subscribers: items(value, most.subscribers).map(readSubscriber) };
    case "publishers":
      return { publishers: value === city ? initial.publishers : items(value, most.publishers).map(readPublisher) };
    case "tags":
      return { tags: readTags(value) };
    case "mode":
      return { mode: oneOf(value, ["page", "server"]) };
    case "server":
      return { server: readServer(value) };
    case "load":
      return { load: readLoad(value) };
    default:
      throw new RangeError(`'${name}' is nothing a link says`);
  }
}

function items(value: string, limit: number): string[] {
  const found = value === "" ? [] : value.split(";");
  if (found.length > limit) throw new RangeError(`${found.length} are more than ${limit}`);
  return found;
}

function writeSubscriber(subscriber: Subscriber): string {
  return [encodeURIComponent(subscriber.name), writeTags(subscriber.tags)].join(":");
}

function readSubscriber(item: string): Subscriber {
  const [name = "", tags = "", ...more] = item.split(":");
  if (more.length) throw new RangeError("a subscriber has a name and tags");
  return { id: "", name: text(name, most.nameLength), tags: readTags(tags) };
}

function writePublisher(publisher: Publisher): string {
  return [
    encodeURIComponent(publisher.name),
    writeTags(publisher.tags),
    writeTags(publisher.sometimes),
    encodeURIComponent(publisher.text),
    String(publisher.every),
    publisher.on ? "on" : "off",
  ].join(":");
}

function readPublisher(item: string): Publisher {
  const [name = "", tags = "", sometimes = "", said = "", every = "6", on = "on"] = item.split(":");
  return {
    id: "",
    name: text(name, most.nameLength),
    tags: readTags(tags),
    sometimes: readTags(sometimes),
    text: text(said, most.textLength),
    every: number(every, 1, 60),
    on: oneOf(on, ["on", "off"]) === "on",
  };
}

function writeTags(tags: readonly string[]): string {
  return tags.map(encodeURIComponent).join(",");
}

function readTags(value: string): string[] {
  const tags = value === "" ? [] : value.split(",").map((tag) => text(tag, most.tagLength));
  if (tags.length > most.tags) throw new RangeError(`${tags.length} tags are more than ${most.tags}`);
  // As if they were typed one by one: no blank ones, none twice.
  return [...new Set(tags.filter((tag) => typed(tag).length > 0))];
}

function readServer(value: string): string {
  const server = text(value, 500);
  if (server !== "" && addressOf(server) !== server) throw new RangeError(`'${server}' is no address of a server`);
  return server;
}

function writeLoad(load: Load): string {
  return [load.rate === Infinity ? "max" : load.rate, load.subscriptions, load.tags].join(",");
}

function readLoad(value: string): Load {
  const [rate = "", subscriptions = "", tags = ""] = value.split(",");
  return {
    rate: rate === "max" ? Infinity : number(rate, 1, 1_000_000),
    subscriptions: Math.round(number(subscriptions, 0, 10_000)),
    tags: Math.round(number(tags, 1, 16)),
  };
}

function text(value: string, limit: number): string {
  const decoded = decodeURIComponent(value);
  if (decoded.length > limit) throw new RangeError(`${decoded.length} characters are more than ${limit}`);
  return decoded;
}

function number(value: string, least: number, greatest: number): number {
  const found = value.trim() === "" ? NaN : Number(value);
  if (!(found >= least && found <= greatest)) throw new RangeError(`'${value}' is not from ${least} to ${greatest}`);
  return found;
}

function oneOf<T extends string>(value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (!found) throw new RangeError(`'${value}' is none of ${allowed.join(", ")}`);
  return found;
}
