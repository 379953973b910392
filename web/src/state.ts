/** Owns what a visitor has set up, and its history. It does not know how anything looks or is sent. */

import { decode, encode } from "./link.js";
import type { Publisher, State, Subscriber } from "./model.js";
import { citySubscribers, cityPublishers } from "./story.js";

let lastId = 0;

/** A name for a subscriber or a publisher that nothing else on this page has. */
export function freshId(): string {
  lastId += 1;
  return `n${lastId}`;
}

/** The board as a first visitor finds it. */
export const initial: State = {
  subscribers: citySubscribers.map((subscriber) => ({ ...subscriber, id: freshId() })),
  publishers: cityPublishers.map((publisher) => ({ ...publisher, id: freshId() })),
  tags: ["bus", "late", "line:7"],
  mode: "page",
  server: "",
  load: { rate: 2000, subscriptions: 1000, tags: 4 },
};

type Listener = (now: State, before: State) => void;

const listeners = new Set<Listener>();
let current = initial;
let writing = 0;

/** The state as it is. */
export function state(): State {
  return current;
}

/** Calls `listener` after each change; it is not called for what is now. */
export function onChange(listener: Listener): void {
  listeners.add(listener);
}

/**
 * Changes the state. It becomes an entry of the browser's history, unless `quietly`: then it replaces the present one,
 * a little later, since browsers do not like to be told of every step of a slider.
 */
export function change(patch: Partial<State>, quietly = false): void {
  become({ ...current, ...patch });
  clearTimeout(writing);
  if (quietly) writing = window.setTimeout(() => write("replaceState"), 300);
  else write("pushState");
}

function write(how: "pushState" | "replaceState"): void {
  const hash = encode(current, initial);
  const url = location.pathname + location.search + (hash ? `#${hash}` : "");
  if (url !== location.pathname + location.search + location.hash) history[how](null, "", url);
}

/** Changes one subscriber. */
export function changeSubscriber(id: string, patch: Partial<Subscriber>, quietly = false): void {
  change({ subscribers: current.subscribers.map((subscriber) => (subscriber.id === id ? { ...subscriber, ...patch } : subscriber)) }, quietly);
}

/** Changes one publisher. */
export function changePublisher(id: string, patch: Partial<Publisher>, quietly = false): void {
  const publishers = current.publishers.map((publisher) => (publisher.id === id ? { ...publisher, ...patch } : publisher));
  change({ publishers }, quietly);
}

/** Takes the state from the address, now and whenever the visitor goes back or edits it. `complain` is told of junk. */
export function followAddress(complain: (text: string) => void): void {
  const follow = (): void => {
    clearTimeout(writing);
    const { state: asked, clean } = decode(location.hash.slice(1), initial);
    become(keepIds(asked, current));
    if (!clean) complain("Part of this link could not be read. The rest is shown.");
  };
  addEventListener("popstate", follow);
  follow();
}

function become(next: State): void {
  const before = current;
  current = next;
  for (const listener of listeners) listener(current, before);
}

/** Gives what is the same as before the ids of before, so that subscribers keep their counts and their places. */
function keepIds(next: State, before: State): State {
  return { ...next, subscribers: same(next.subscribers, before.subscribers), publishers: same(next.publishers, before.publishers) };
}

function same<T extends { id: string; name: string }>(next: readonly T[], before: readonly T[]): T[] {
  const content = (item: T): string => JSON.stringify({ ...item, id: "" });
  const left = new Set(before);
  const equal = next.map((item) => {
    const found = [...left].find((other) => content(other) === content(item));
    if (found) left.delete(found);
    return found;
  });
  return next.map((item, index) => {
    if (equal[index]) return equal[index];
    const found = [...left].find((other) => other.name === item.name) ?? [...left].find((o) => before.indexOf(o) === index);
    if (found) left.delete(found);
    return { ...item, id: found?.id ?? freshId() };
  });
}
