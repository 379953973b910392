/** Owns how a board is written into a link. It does not know the page's address or history. */

import { most, type Card, type Load, type State, type Vehicle } from "./model.js";
import { typed } from "./tags.js";

// Items are split by `;`, their fields by `:`, lists by `,`. Texts are percent-encoded, so none of them is in a text.

/** Writes what is other than in `initial`; nothing when nothing is. */
export function encode(state: State, initial: State): string {
  const parts: string[] = [];
  const cards = state.cards.map(writeCard).join(";");
  if (cards !== initial.cards.map(writeCard).join(";")) parts.push(`cards=${cards}`);
  const vehicles = state.vehicles.map(writeVehicle).join(";");
  if (vehicles !== initial.vehicles.map(writeVehicle).join(";")) parts.push(`vehicles=${vehicles}`);
  if (state.mode !== initial.mode) parts.push(`mode=${state.mode}`);
  if (state.server !== initial.server) parts.push(`server=${encodeURIComponent(state.server)}`);
  const load = writeLoad(state.load);
  if (load !== writeLoad(initial.load)) parts.push(`load=${load}`);
  return parts.join("&");
}

/** Reads a link. What cannot be read is as in `initial`, and the result is not `clean`. */
export function decode(hash: string, initial: State): { state: State; clean: boolean } {
  let state = initial;
  let clean = true;
  for (const part of hash.split("&")) {
    if (part === "") continue;
    const [name, value = ""] = split(part);
    try {
      state = { ...state, ...read(name, value) };
    } catch {
      clean = false;
    }
  }
  return { state, clean };
}

function split(part: string): [string, string?] {
  const at = part.indexOf("=");
  return at < 0 ? [part] : [part.slice(0, at), part.slice(at + 1)];
}

function read(name: string, value: string): Partial<State> {
  switch (name) {
    case "cards":
      return { cards: items(value, most.cards).map(readCard) };
    case "vehicles":
      return { vehicles: items(value, most.vehicles).map(readVehicle) };
    case "mode":
      return { mode: oneOf(value, ["page", "server"]) };
    case "server":
      return { server: text(value, 500) };
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

function writeCard(card: Card): string {
  return [encodeURIComponent(card.name), writeTags(card.tags)].join(":");
}

function readCard(item: string): Card {
  const [name = "", tags = "", ...more] = item.split(":");
  if (more.length) throw new RangeError("a card has a name and tags");
  return { id: "", name: text(name, most.nameLength), tags: readTags(tags) };
}

function writeVehicle(vehicle: Vehicle): string {
  return [
    encodeURIComponent(vehicle.name),
    writeTags(vehicle.tags),
    writeTags(vehicle.sometimes),
    encodeURIComponent(vehicle.text),
    String(vehicle.every),
    vehicle.on ? "on" : "off",
  ].join(":");
}

function readVehicle(item: string): Vehicle {
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
