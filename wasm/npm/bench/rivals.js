/** Plain JavaScript against which the package is measured: as fast as its author could make it. Knows nothing of it. */

/** Looks at every subscription: what one writes first. */
export class Naive {
  /** @type {{ tags: string[], handler: (message: unknown) => void }[]} */
  #subscriptions = [];

  /** @param {string[]} tags @param {(message: unknown) => void} handler */
  subscribe(tags, handler) {
    this.#subscriptions.push({ tags, handler });
  }

  /** @param {string[]} tags @param {unknown} data */
  publish(tags, data) {
    const message = { tags, data };
    for (const subscription of this.#subscriptions) {
      if (subscription.tags.every((tag) => tags.includes(tag))) subscription.handler(message);
    }
  }
}

/**
 * Rarest-tag posting lists, as the core has them: a set stands with the rarest of its tags, and a mark per tag tells
 * whether the message carries the others. For sets of up to three tags, which can come and go at any time.
 */
export class Index {
  /** @type {Map<string, number>} */
  #ids = new Map();
  /** @type {number[]} */
  #uses = [];
  /** @type {{ second: number[], third: number[], sets: Set[] }[]} */
  #homes = [];
  /** @type {Map<string, Set>} */
  #sets = new Map();
  #marks = new Uint8Array(1024);

  /** @param {string} tag */
  id(tag) {
    let id = this.#ids.get(tag);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(tag, id);
      this.#uses.push(0);
      this.#homes.push({ second: [], third: [], sets: [] });
      if (id >= this.#marks.length) {
        const marks = new Uint8Array(2 * id);
        marks.set(this.#marks);
        this.#marks = marks;
      }
    }
    return id;
  }

  /** @param {string[]} tags @param {(message: unknown) => void} handler */
  subscribe(tags, handler) {
    const ids = tags.map((tag) => this.id(tag)).sort((one, other) => one - other);
    let set = this.#sets.get(ids.join());
    if (!set) {
      for (const id of ids) this.#uses[id] += 1;
      const [home, second = ids[0], third = ids[0]] = [...ids].sort((one, other) => this.#uses[one] - this.#uses[other]);
      const list = this.#homes[home];
      list.second.push(second);
      list.third.push(third);
      set = { ids, home, at: list.sets.length, handlers: [] };
      list.sets.push(set);
      this.#sets.set(ids.join(), set);
    }
    set.handlers = [...set.handlers, handler];
    return () => this.#unsubscribe(set, handler);
  }

  /** @param {Set} set @param {(message: unknown) => void} handler */
  #unsubscribe(set, handler) {
    set.handlers = set.handlers.filter((other) => other !== handler);
    if (set.handlers.length > 0) return;
    for (const id of set.ids) this.#uses[id] -= 1;
    this.#sets.delete(set.ids.join());
    const { second, third, sets } = this.#homes[set.home];
    const [last, lastSecond, lastThird] = [sets.pop(), second.pop(), third.pop()];
    if (last === set) return;
    last.at = set.at;
    [sets[set.at], second[set.at], third[set.at]] = [last, lastSecond, lastThird];
  }

  /** @param {string[]} tags @param {unknown} data */
  publish(tags, data) {
    const ids = [];
    for (let at = 0; at < tags.length; at++) {
      const id = this.#ids.get(tags[at]);
      if (id !== undefined) ids.push(id);
    }
    this.publishIds(ids, tags, data);
  }

  /** @param {number[]} ids @param {string[]} tags @param {unknown} data */
  publishIds(ids, tags, data) {
    const marks = this.#marks;
    for (let at = 0; at < ids.length; at++) marks[ids[at]] = 1;
    let message;
    for (let at = 0; at < ids.length; at++) {
      const { second, third, sets } = this.#homes[ids[at]];
      for (let place = 0; place < second.length; place++) {
        if (marks[second[place]] === 1 && marks[third[place]] === 1) {
          message ??= { tags, data };
          const { handlers } = sets[place];
          for (let index = 0; index < handlers.length; index++) handlers[index](message);
        }
      }
    }
    for (let at = 0; at < ids.length; at++) marks[ids[at]] = 0;
  }
}

/** @typedef {{ ids: number[], home: number, at: number, handlers: ((message: unknown) => void)[] }} Set */

/** A trie over sorted ids: a node's children are the next tag of the sets that begin as it does. */
export class Trie {
  /** @type {Map<string, number>} */
  #ids = new Map();
  /** @type {Node} */
  #root = { children: new Map(), handlers: [] };

  /** @param {string} tag */
  id(tag) {
    let id = this.#ids.get(tag);
    if (id === undefined) this.#ids.set(tag, (id = this.#ids.size));
    return id;
  }

  /** @param {string[]} tags @param {(message: unknown) => void} handler */
  subscribe(tags, handler) {
    let node = this.#root;
    for (const id of tags.map((tag) => this.id(tag)).sort((one, other) => one - other)) {
      let child = node.children.get(id);
      if (!child) node.children.set(id, (child = { children: new Map(), handlers: [] }));
      node = child;
    }
    node.handlers.push(handler);
  }

  /** @param {string[]} tags @param {unknown} data */
  publish(tags, data) {
    const ids = [];
    for (const tag of tags) {
      const id = this.#ids.get(tag);
      if (id !== undefined) ids.push(id);
    }
    this.publishIds(ids, tags, data);
  }

  /** @param {number[]} ids @param {string[]} tags @param {unknown} data */
  publishIds(ids, tags, data) {
    const sorted = [...ids].sort((one, other) => one - other);
    this.#walk(this.#root, sorted, 0, { tags, data });
  }

  /** @param {Node} node @param {number[]} ids @param {number} from @param {unknown} message */
  #walk(node, ids, from, message) {
    for (const handler of node.handlers) handler(message);
    if (node.children.size === 0) return;
    for (let at = from; at < ids.length; at++) {
      const child = node.children.get(ids[at]);
      if (child) this.#walk(child, ids, at + 1, message);
    }
  }
}

/** @typedef {{ children: Map<number, Node>, handlers: ((message: unknown) => void)[] }} Node */
