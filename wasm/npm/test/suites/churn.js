/**
 * Owns that random clients, subscriptions and publishes of every kind come out as a brute force says: the page and the
 * core know tags and tag sets by numbers, which are used again for others all the time. `MIST_TEST_SEEDS` and
 * `MIST_TEST_STEPS` look further.
 */

import { Broker, connect } from "mist-pubsub";

/** @typedef {import("mist-pubsub").TagLike} TagLike */

/** The same numbers for the same seed. @param {number} seed */
function dice(seed) {
  let state = seed >>> 0;
  /** A whole number below `end`. @param {number} end */
  return (end) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

/**
 * A subscription, and what it should have got.
 * @typedef {{ tags: string[], real: import("mist-pubsub").Subscription, wanted: string[], got: string[] }} Held
 * @typedef {{ client: import("mist-pubsub").Client, isNear: boolean, held: Held[], name: number }} Peer
 */

class World {
  /** @type {Peer[]} */
  peers = [];
  /** @type {TagLike[]} */
  handles = [];
  /** @type {{ peer: Peer, publisher: import("mist-pubsub").Publisher }[]} */
  publishers = [];
  published = 0;
  named = 0;
  /** Whether something may be on its way. */
  isMoving = false;

  /**
   * @param {ReturnType<typeof dice>} roll
   * @param {import("mist-pubsub").Broker} broker
   * @param {import("mist-pubsub").Broker} stranger another broker, whose numbers mean something else
   * @param {import("../harness/suite.js").Tools} tools
   */
  constructor(roll, broker, stranger, tools) {
    this.roll = roll;
    this.broker = broker;
    this.stranger = stranger.client();
    this.tools = tools;
  }

  /** @template T @param {readonly T[]} items @returns {T} */
  pick(items) {
    return /** @type {T} */ (items[this.roll(items.length)]);
  }

  /** Some tags: few names, so that sets meet, and now and then one that was never there. */
  tags(most = 4) {
    const tag = () => (this.roll(40) === 0 ? `new ${this.roll(1e6)}` : `t${this.roll(10)}`);
    return Array.from({ length: 1 + this.roll(most) }, tag);
  }

  async open() {
    const isNear = this.roll(3) > 0;
    let client = this.broker.client();
    if (!isNear) {
      await client.close();
      const { port1, port2 } = new MessageChannel();
      this.broker.attach(port2);
      client = connect(port1);
      await client.ready;
    }
    const reported = this.tools.next(client, "error").then((error) => (this.failure ??= error));
    void reported;
    this.peers.push({ client, isNear, held: [], name: (this.named += 1) });
  }

  /** @type {Error | undefined} */
  failure;

  /** Waits until all that was published has come. */
  async settle() {
    if (!this.isMoving) return;
    // Twice: once for what was sent, once for what came of it.
    for (let round = 0; round < 2; round++) await Promise.all(this.peers.map(({ client }) => client.ping()));
    await this.tools.turn();
    this.isMoving = false;
  }

  async subscribe() {
    const peer = this.pick(this.peers);
    // What comes from ports comes at its own time.
    if (!peer.isNear || this.peers.some(({ isNear }) => !isNear)) await this.settle();
    const tags = this.tags(5);
    /** @type {string[]} */
    const got = [];
    const real = peer.client.subscribe(tags.map((tag) => this.like(tag)), ({ text }) => void got.push(text));
    peer.held.push({ tags, real, wanted: [], got });
    if (!peer.isNear) await real.ready;
  }

  async unsubscribe() {
    const peer = this.pick(this.peers);
    if (peer.held.length === 0) return;
    await this.settle();
    this.compare(peer);
    const [gone] = peer.held.splice(this.roll(peer.held.length), 1);
    if (this.roll(2)) gone?.real[Symbol.dispose]();
    else await gone?.real.unsubscribe();
    if (!peer.isNear) await peer.client.ping();
  }

  async leave() {
    if (this.peers.length < 3) return;
    await this.settle();
    const [peer] = this.peers.splice(this.roll(this.peers.length), 1);
    if (!peer) return;
    this.compare(peer);
    this.publishers = this.publishers.filter((one) => one.peer !== peer);
    await peer.client.close();
    await this.tools.until(() => this.broker.stats().sessions === this.peers.length, "the session stays");
  }

  /** A tag in one of the forms that it can have. @param {string} name @returns {TagLike} */
  like(name) {
    switch (this.roll(6)) {
      case 0:
        return this.stranger.tag(name);
      case 1:
        return { name };
      case 2: {
        const handle = this.pick(this.peers).client.tag(name);
        this.handles.push(handle);
        return handle;
      }
      case 3:
        return this.handles.find((handle) => typeof handle !== "string" && handle.name === name) ?? name;
      default:
        return name;
    }
  }

  publish() {
    const peer = this.pick(this.peers);
    const { client } = peer;
    const text = () => `${peer.name}:${(this.published += 1)}`;
    const send = (/** @type {string[]} */ tags, /** @type {string} */ text) => this.want(peer, tags, text);
    this.isMoving = true;
    const tags = this.tags(6);
    const likes = tags.map((tag) => this.like(tag));
    switch (this.roll(5)) {
      case 0: {
        const batch = Array.from({ length: this.roll(20) }, () => ({ tags: this.tags(6), data: text() }));
        for (const { tags, data } of batch) send(tags, data);
        return client.publishAll(batch.map(({ tags, data }) => ({ tags: tags.map((tag) => this.like(tag)), data })));
      }
      case 1: {
        const data = text();
        const sessions = send(tags, data);
        // Whoever comes and goes over ports does so at his own time; here everything has settled.
        return client.publish(likes, data, { ack: true }).then(({ delivered }) => {
          this.tools.assert.equal(delivered, sessions, `sessions that took ${data} of ${tags}`);
        });
      }
      case 2: {
        if (this.publishers.length < 20) this.publishers.push({ peer, publisher: client.publisher(likes) });
        const known = this.pick(this.publishers);
        const data = `${known.peer.name}:${(this.published += 1)}`;
        this.want(known.peer, [...known.publisher.tags], data);
        return known.publisher.publish(data);
      }
      default: {
        const data = text();
        send(tags, data);
        return client.publish(likes, data);
      }
    }
  }

  /** Notes who should get a message; returns how many sessions that are. @param {Peer} from @param {string[]} tags @param {string} text */
  want(from, tags, text) {
    let sessions = 0;
    for (const peer of this.peers) {
      if (peer === from) continue;
      const hit = peer.held.filter((held) => held.tags.every((tag) => tags.includes(tag)));
      for (const { wanted } of hit) wanted.push(text);
      sessions += Number(hit.length > 0);
    }
    return sessions;
  }

  /** Compares all of one peer with what was wanted; the order counts among messages of one publisher. @param {Peer} peer */
  compare(peer) {
    for (const { tags, wanted, got } of peer.held) {
      const place = `of client ${peer.name} (${peer.isNear ? "page" : "port"}), subscribed to ${tags}, after ${this.published}`;
      const order = (/** @type {string} */ one, /** @type {string} */ other) => parseInt(one) - parseInt(other);
      // Sorting keeps the order of what is equal.
      this.tools.assert.equal(got.splice(0).sort(order), wanted.splice(0).sort(order), place);
    }
  }
}

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, settings, test } = tools;
  const seeds = Number(settings["SEEDS"] ?? 4);
  const steps = Number(settings["STEPS"] ?? 2500);

  for (let number = 1; number <= seeds; number++) {
    test(`random clients agree with brute force, seed ${number}`, async () => {
      const roll = dice(number * 7919);
      const broker = await Broker.create();
      const stranger = await Broker.create();
      // Its numbers go another way.
      for (const tag of ["t9", "t3", "t0", "x"]) stranger.client().subscribe([tag], () => {});
      const world = new World(roll, broker, stranger, tools);
      await world.open();
      await world.open();
      const acknowledged = [];
      for (let step = 0; step < steps; step++) {
        const turn = roll(20);
        if (turn < 4) await world.subscribe();
        else if (turn < 7) await world.unsubscribe();
        else if (turn === 7 && roll(4) === 0 && world.peers.length < 7) await world.open();
        else if (turn === 8 && roll(6) === 0) await world.leave();
        else acknowledged.push(world.publish());
        if (acknowledged.length > 50) await Promise.all(acknowledged.splice(0));
        // The index of tags would otherwise only grow.
        if (roll(100) === 0) world.handles.splice(0, 5);
      }
      await Promise.all(acknowledged);
      await world.settle();
      for (const peer of world.peers) world.compare(peer);
      assert.equal(world.failure, undefined);
      assert.equal(broker.stats().sessions, world.peers.length);
      const sets = new Set(world.peers.flatMap(({ name, held }) => held.map(({ tags }) => `${name} ${[...new Set(tags)].sort()}`)));
      assert.equal(broker.stats().subscriptions, sets.size, "subscriptions held");
      for (const { client, held } of world.peers) for (const { real } of held.splice(0)) await real.unsubscribe(), await client.ping();
      assert.equal(broker.stats().subscriptions, 0);
      await broker.close();
      await stranger.close();
    });
  }
}
