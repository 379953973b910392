/**
 * Owns what a page's broker does as long as it has no core: pings, subscriptions and publishes of clients of the page, when
 * everything about them is in order. It refuses nothing: all else is left to the core, which is loaded for it.
 */

import type { FastLane } from "./lane.js";
import { sorted } from "./message.js";
import type { Sent, Session } from "./session.js";
import type { TagSet } from "./sets.js";

/** What is held without a core: no more than any core allows that is told nothing else. */
const MOST = { tags: 32, sets: 65_536, bytes: 16 << 20, allBytes: 128 << 20 };

export class Plain {
  /** Subscriptions held. */
  subscriptions = 0;
  /** What they weigh. */
  #bytes = 0;
  #lane: FastLane;

  constructor(lane: FastLane) {
    this.#lane = lane;
  }

  /** Does what a message asks for, if nothing else is to be said about it; returns whether it did. */
  take(session: Session, { text, carried }: Sent): boolean {
    const { command, tags = [], data, id } = JSON.parse(text) as { command: string; tags?: string[]; data?: string; id?: number };
    if (command !== "ping" && !this.#lane.isFit(tags, data)) return false;
    let more: object = { tags, data: "success" };
    switch (command) {
      case "ping":
        session.peer.post(JSON.stringify({ command, data: "pong", id }));
        break;
      case "subscribe":
        if (tags.length > MOST.tags || !this.#join(session, this.#lane.sets.hold(sorted(tags)))) return false;
        break;
      case "unsubscribe": {
        if (tags.length > MOST.tags) return false;
        const set = this.#lane.sets.find(sorted(tags));
        if (set) this.#leave(session, set);
        break;
      }
      case "publish":
        if (id !== undefined) more = { ...more, delivered: this.#lane.count(session, tags) };
        this.#lane.deliver(session, tags, carried ? carried.data : data);
        break;
      default:
        return false;
    }
    session.hasSpoken = true;
    if (command !== "ping" && id !== undefined) session.peer.post(JSON.stringify({ command, ...more, id }));
    return true;
  }

  /** Has a session hold a set; returns whether it may. */
  #join(session: Session, set: TagSet): boolean {
    const { held } = session;
    if (held.has(set)) return true;
    const weight = weightOf(set);
    if (held.size >= MOST.sets || session.weight + weight > MOST.bytes || this.#bytes + weight > MOST.allBytes) {
      this.#lane.sets.release(set);
      return false;
    }
    held.add(set);
    set.holders.add(session);
    this.#count(session, 1, weight);
    return true;
  }

  #leave(session: Session, set: TagSet): void {
    if (!session.held.delete(set)) return;
    set.holders.delete(session);
    this.#lane.sets.release(set);
    this.#count(session, -1, -weightOf(set));
  }

  #count(session: Session, sets: number, bytes: number): void {
    this.subscriptions += sets;
    this.#bytes += bytes;
    session.weight += bytes;
  }

  /** Has a session hold nothing any more. */
  clear(session: Session): void {
    for (const set of session.held) this.#leave(session, set);
  }
}

/** At least what the core says that it weighs. */
function weightOf({ key, numbers }: TagSet): number {
  return 64 + 8 * numbers.length + 3 * key.length;
}
