/** Owns how messages stand on the wire: what a client writes, and what it reads. Knows nothing of what they mean to it. */

import { textOf } from "./error.js";

/** A message from a broker. What is not named here may be anything. */
export interface Incoming {
  readonly command?: string | null;
  readonly tags?: string[] | null;
  readonly data?: string | null;
  readonly error?: string | null;
  readonly [field: string]: unknown;
}

/** What a broker answers, with what was left out filled up. */
export interface Answer {
  readonly tags: string[];
  readonly data: string;
  readonly subscriptions: string[][];
  readonly subscribed: string[];
  readonly delivered?: number | undefined;
  readonly nodes?: number | undefined;
  readonly connections?: number | undefined;
  readonly subscribers?: number | undefined;
}

/** What a client asks for beyond a command and its tags. */
export interface Asked {
  data?: string;
  rights?: string | undefined;
  ttl?: number | "never" | undefined;
  id?: number | undefined;
}

/** Writes a message: its fields in the order of the protocol, and only those that say something. */
export function write(command: string, tags: readonly string[], { data, rights, ttl, id }: Asked): string {
  return JSON.stringify({ command, tags: tags.length > 0 ? tags : undefined, data: data || undefined, rights, ttl, id });
}

/**
 * Reads a message.
 * @throws Error what is wrong with it.
 */
export function read(text: string): Incoming {
  let message: Incoming;
  try {
    message = JSON.parse(text);
  } catch (error) {
    throw new Error(`invalid JSON: ${textOf(error)}`);
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) throw new Error("not an object");
  for (const field of ["command", "data", "error"]) {
    if (typeof (message[field] ?? "") !== "string") throw new Error(`wrong type: ${field} must be a string`);
  }
  if (!isTags(message.tags ?? [])) throw new Error("wrong type: tags must be an array of strings");
  return message;
}

export function answerOf(message: Incoming): Answer {
  const { subscriptions, subscribed } = message;
  return {
    tags: message.tags ?? [],
    data: message.data ?? "",
    subscriptions: Array.isArray(subscriptions) ? subscriptions.filter(isTags) : [],
    subscribed: isTags(subscribed) ? subscribed : [],
    delivered: countOf(message["delivered"]),
    nodes: countOf(message["nodes"]),
    connections: countOf(message["connections"]),
    subscribers: countOf(message["subscribers"]),
  };
}

/** A number that counts something, if it is one. */
export function countOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}

function isTags(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((tag) => typeof tag === "string");
}
