/**
 * Measures publishing inside a page against plain JavaScript, each handler called each time. Runs in Node and in
 * Chromium; all contestants of a size take turns, and the median of their rounds counts.
 */

import { Broker } from "mist-pubsub";
import { Index, Naive, Trie } from "./rivals.js";
import { workload } from "./workload.js";

const ROUNDS = 9;
const MS = 120;

export async function bench(tell = console.log) {
  const results = [];
  for (const size of [20, 500, 10_000]) {
    const { subscriptions, messages } = workload(size);
    const contestants = [];
    for (const make of [naive, rival("trie", Trie), rival("index", Index), ...mist]) {
      contestants.push(...(await make(subscriptions, messages)));
    }
    await check(contestants);
    const rates = new Map(contestants.map(({ name }) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, run } of contestants) rates.get(name).push(await rate(run));
    }
    for (const [name, all] of rates) {
      const median = all.sort((one, other) => one - other)[ROUNDS >> 1];
      results.push({ size, name, rate: Math.round(median) });
      tell(`${String(size).padStart(6)}  ${name.padEnd(22)} ${(median / 1000).toFixed(1).padStart(9)} thousand publishes/s`);
    }
  }
  return results;
}

/** Publishes for a while, and returns how many were published in a second. */
async function rate(run) {
  const start = performance.now();
  let count = 0;
  let now = start;
  while (now - start < MS) {
    count += await run(1);
    now = performance.now();
  }
  return (count * 1000) / (now - start);
}

/** Every contestant must call as many handlers as the first. */
async function check(contestants) {
  let expected;
  for (const { name, run, count } of contestants) {
    const before = count();
    await run(0);
    // What was put off, so that the page gets a turn, is still to come.
    const patience = performance.now() + 10_000;
    while (expected !== undefined && count() - before < expected && performance.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    const called = count() - before;
    expected ??= called;
    if (called !== expected) throw new Error(`${name} called ${called} handlers, not ${expected}`);
  }
}

function counter() {
  let count = 0;
  return { handler: () => void (count += 1), count: () => count };
}

/** How many messages are published before the page gets a turn. */
const AT_ONCE = 64;

/** Makes a contestant of a function that publishes one message. */
function contestant(name, messages, count, publish, after) {
  let at = 0;
  const step = async (many) => {
    for (let index = 0; index < many; index++) {
      publish(at);
      at = (at + 1) % messages.length;
    }
    if (after) await after();
    return many;
  };
  return {
    name,
    count,
    run: async (mode) => {
      if (mode === 1) return step(AT_ONCE);
      at = 0;
      for (let done = 0; done < messages.length; done += AT_ONCE) await step(AT_ONCE);
      at = 0;
      return messages.length;
    },
  };
}

async function naive(subscriptions, messages) {
  const { handler, count } = counter();
  const rival = new Naive();
  for (const tags of subscriptions) rival.subscribe(tags, () => handler());
  return [contestant("naive loop", messages, count, (at) => rival.publish(messages[at], "data"))];
}

function rival(name, Rival) {
  return async (subscriptions, messages) => {
    const { handler, count } = counter();
    const rival = new Rival();
    for (const tags of subscriptions) rival.subscribe(tags, () => handler());
    const ids = messages.map((tags) => tags.map((tag) => rival.id(tag)));
    return [
      contestant(`plain ${name}, strings`, messages, count, (at) => rival.publish(messages[at], "data")),
      contestant(`plain ${name}, ids`, messages, count, (at) => rival.publishIds(ids[at], messages[at], "data")),
    ];
  };
}

const mist = [
  async (subscriptions, messages) => {
    const { handler, count } = counter();
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    for (const tags of subscriptions) reader.subscribe(tags, () => handler());
    const handles = messages.map((tags) => tags.map((tag) => writer.tag(tag)));
    const batches = [];
    for (let at = 0; at < messages.length; at += AT_ONCE) {
      batches.push(handles.slice(at, at + AT_ONCE).map((tags) => ({ tags, data: "data" })));
    }
    // What is published is handled once this is settled.
    const handled = () => Promise.resolve();
    return [
      contestant("mist, strings", messages, count, (at) => void writer.publish(messages[at], "data"), handled),
      contestant("mist, handles", messages, count, (at) => void writer.publish(handles[at], "data"), handled),
      contestant(
        "mist, batches",
        messages,
        count,
        (at) => at % AT_ONCE === 0 && void writer.publishAll(batches[at / AT_ONCE]),
        handled,
      ),
    ];
  },
];
