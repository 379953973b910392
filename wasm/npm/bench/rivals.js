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
 * Rarest-tag posting lists in JavaScript: each pair stands with the rarer of its tags, and a mark per tag tells whether
 * the message carries the other one. Only for pairs, which makes it simpler than anything that is good for all sets.
 */
export class Index {
  /** @type {Map<string, number>} */
  #ids = new Map();
  /** @type {number[]} */
  #uses = [];
  /** @type {{ a: number, b: number, handlers: ((message: unknown) => void)[] }[]} */
  #sets = [];
  /** @type {Map<number, number>} */
  #byPair = new Map();
  /** @type {Int32Array[]} */
  #others = [];
  /** @type {((message: unknown) => void)[][][]} */
  #handlers = [];
  #marks = new Uint8Array(0);
  #isBuilt = false;

  /** @param {string} tag */
  id(tag) {
    let id = this.#ids.get(tag);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(tag, id);
      this.#uses.push(0);
    }
    return id;
  }

  /** @param {string[]} tags @param {(message: unknown) => void} handler */
  subscribe(tags, handler) {
    const [a, b] = tags.map((tag) => this.id(tag)).sort((one, other) => one - other);
    const pair = a * 2 ** 20 + b;
    let set = this.#byPair.get(pair);
    if (set === undefined) {
      set = this.#sets.push({ a, b, handlers: [] }) - 1;
      this.#byPair.set(pair, set);
      this.#uses[a] += 1;
      this.#uses[b] += 1;
    }
    this.#sets[set].handlers.push(handler);
    this.#isBuilt = false;
  }

  #build() {
    /** @type {{ other: number, handlers: ((message: unknown) => void)[] }[][]} */
    const lists = this.#uses.map(() => []);
    for (const { a, b, handlers } of this.#sets) {
      const [home, other] = this.#uses[a] <= this.#uses[b] ? [a, b] : [b, a];
      lists[home].push({ other, handlers });
    }
    this.#others = lists.map((list) => Int32Array.from(list, ({ other }) => other));
    this.#handlers = lists.map((list) => list.map(({ handlers }) => handlers));
    this.#marks = new Uint8Array(this.#uses.length);
    this.#isBuilt = true;
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
    if (!this.#isBuilt) this.#build();
    const marks = this.#marks;
    for (let at = 0; at < ids.length; at++) marks[ids[at]] = 1;
    let message;
    for (let at = 0; at < ids.length; at++) {
      const others = this.#others[ids[at]];
      for (let place = 0; place < others.length; place++) {
        if (marks[others[place]] === 1) {
          message ??= { tags, data };
          for (const handler of this.#handlers[ids[at]][place]) handler(message);
        }
      }
    }
    for (let at = 0; at < ids.length; at++) marks[ids[at]] = 0;
  }
}

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
