/** Owns that one broker serves all tabs: in a worker, or in one of the tabs, and in the next when that is closed. */

import { Broker } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function (tools) {
  const { assert, openTab, test, until } = tools;
  const { ok, equal, rejects } = assert;

  if (!openTab) {
    test("where there are no tabs, that is said", async () => {
      const error = await rejects(Broker.shared("x"), { name: "MistError", code: "unsupported" });
      ok(/Web Locks|SharedWorker/.test(error.message), error.message);
      await rejects(Broker.shared(""), { name: "MistError", code: "invalid-argument" });
    });
    return;
  }

  /** Opens a tab that is at the broker of all tabs; it notes what it hears. @param {string} name @param {boolean} hasWorker @param {string[][]} sets */
  const join = async (name, hasWorker, ...sets) => {
    const tab = await openTab();
    const place = await tab.run(
      async (name, hasWorker, sets) => {
        const { Broker } = await import("mist-pubsub");
        const broker = await Broker.shared(name, hasWorker ? {} : { worker: false });
        const client = broker.client();
        /** @type {string[]} */
        const heard = [];
        for (const tags of sets) await client.subscribe(tags, (/** @type {any} */ { text }) => void heard.push(text)).ready;
        await client.ready;
        Object.assign(globalThis, { broker, client, heard });
        return broker.place;
      },
      name,
      hasWorker,
      sets,
    );
    return {
      ...tab,
      place,
      publish: (/** @type {string[]} */ tags, /** @type {string} */ text) =>
        tab.run(async (tags, text) => (await /** @type {any} */ (globalThis).client.publish(tags, text, { ack: true })).delivered, tags, text),
      heard: () => tab.run(() => /** @type {any} */ (globalThis).heard.splice(0)),
      who: () => tab.run(() => /** @type {any} */ (globalThis).client.admin.who()),
    };
  };

  for (const hasWorker of [true, false]) {
    const where = hasWorker ? "in a worker" : "in a tab";

    test(`${where}: tabs reach each other, and who is closed is forgotten`, async () => {
      const name = `meet ${hasWorker}`;
      const one = await join(name, hasWorker, ["a"], ["a", "b"]);
      const other = await join(name, hasWorker, ["b"]);
      equal([one.place, other.place], hasWorker ? ["worker", "worker"] : ["here", "other-tab"]);
      equal(await other.publish(["a", "b"], "1"), 1);
      equal(await one.publish(["b"], "2"), 1);
      await until(async () => (await one.heard()).join() === "1,1");
      await until(async () => (await other.heard()).join() === "2");
      equal(await one.who(), { connections: 2, subscribers: 2 });
      await other.close();
      await until(async () => (await one.who()).subscribers === 1, "the tab that was closed is not forgotten");
      const third = await join(name, hasWorker, ["a"]);
      equal(await third.publish(["a", "b"], "3"), 1);
      // A client that is closed is forgotten at once, and another is as good.
      const left = await third.run(async () => {
        const { broker, client } = /** @type {any} */ (globalThis);
        await client.close();
        const again = broker.client();
        await again.subscribe(["c"], () => {}).ready;
        return (await again.admin.who()).subscribers;
      });
      equal(left, 2);
      await third.run(() => /** @type {any} */ (globalThis).broker.close());
      await until(async () => (await one.who()).subscribers === 1);
      await Promise.all([one.close(), third.close()]);
    });

    test(`${where}: another name is another broker`, async () => {
      const one = await join(`one ${hasWorker}`, hasWorker, ["a"]);
      const other = await join(`other ${hasWorker}`, hasWorker, ["a"]);
      equal(await one.publish(["a"], "x"), 0);
      equal(await other.who(), { connections: 1, subscribers: 1 });
      await Promise.all([one.close(), other.close()]);
    });

    test(`${where}: a token that grants too little is refused, and a wrong option is said`, async () => {
      const tab = await openTab();
      const told = await tab.run(
        async (name, hasWorker) => {
          const { Broker } = await import("mist-pubsub");
          const more = hasWorker ? {} : { worker: /** @type {const} */ (false) };
          const wrong = await Broker.shared(name, { ...more, access: "scoped" }).catch((error) => error.code);
          const broker = await Broker.shared(name, { ...more, token: "root", access: "scoped" });
          const admin = broker.client({ token: "root" });
          await admin.ready;
          await admin.admin.register("t", ["a"]);
          const client = broker.client({ token: "t" });
          await client.subscribe(["a"]).ready;
          const refused = await client.subscribe(["b"]).ready.catch((error) => error.code);
          const stranger = await broker.client({ token: "x" }).ready.catch((error) => error.code);
          return [wrong, refused, stranger];
        },
        `tokens ${hasWorker}`,
        hasWorker,
      );
      equal(told, ["invalid-argument", "refused", "auth"]);
      await tab.close();
    });

    test(`${where}: a bridge has the token that its tab gave`, async () => {
      const tab = await openTab();
      const told = await tab.run(
        async (name, hasWorker) => {
          const { Broker } = await import("mist-pubsub");
          const more = hasWorker ? {} : { worker: /** @type {const} */ (false) };
          const broker = await Broker.shared(name, { ...more, token: "root", access: "scoped" });
          const far = await Broker.create();
          const bridge = broker.bridge(far.client(), { up: [["a"]], down: [["b"]] });
          await bridge.ready;
          const reader = broker.client({ token: "root" });
          const got = new Promise((resolve) => reader.subscribe(["b"], ({ text }) => resolve(text)).ready.then(() => far.client().publish(["b"], "down")));
          return got;
        },
        `bridge ${hasWorker}`,
        hasWorker,
      );
      equal(told, "down");
      await tab.close();
    });

    test(`${where}: the token stands in no lock's name`, async () => {
      const tab = await openTab();
      const told = await tab.run(
        async (name, hasWorker) => {
          const { Broker } = await import("mist-pubsub");
          const more = hasWorker ? {} : { worker: /** @type {const} */ (false) };
          const broker = await Broker.shared(name, { ...more, token: "hush" });
          // One that does not say how the broker is to be made learns it from the other.
          const other = await Broker.shared(name, more);
          const { held = [] } = await navigator.locks.query();
          const admin = broker.client({ token: "hush" });
          await admin.ready;
          await Promise.all([broker.close(), other.close()]);
          return held.map((lock) => lock.name).filter((lock) => lock?.includes("hush"));
        },
        `locks ${hasWorker}`,
        hasWorker,
      );
      equal(told, []);
      await tab.close();
    });

    test(`${where}: what cannot be made leaves no lock and no channel behind, and the next is made`, async () => {
      const tab = await openTab();
      const told = await tab.run(
        async (name, hasWorker) => {
          const { Broker } = await import("mist-pubsub");
          const more = hasWorker ? {} : { worker: /** @type {const} */ (false) };
          let channels = 0;
          const Channel = BroadcastChannel;
          globalThis.BroadcastChannel = class extends Channel {
            /** @param {string} name */
            constructor(name) {
              super(name);
              channels += 1;
            }
            /** @override */
            close() {
              channels -= 1;
              super.close();
            }
          };
          const held = async () => {
            const { held = [] } = await navigator.locks.query();
            return held.filter((lock) => lock.name?.startsWith("mist")).length + channels;
          };
          Object.assign(globalThis, { held });
          const wrong = [{ access: "scoped" }, { limits: { nonsense: 1 } }, { limits: { "message-bytes": () => 1 } }];
          const failed = wrong.map((options) =>
            Broker.shared(name, { ...more, .../** @type {any} */ (options) }).catch((error) => error instanceof Error),
          );
          // Those who come together share the first attempt; a good one among them is not spoilt.
          const good = Broker.shared(name, { ...more, token: "t" });
          const broker = await good;
          const all = await Promise.all(failed);
          await broker.client({ token: "t" }).ready;
          await broker.close();
          return all;
        },
        `fail ${hasWorker}`,
        hasWorker,
      );
      equal(told, [true, true, true]);
      await until(() => tab.run(async () => (await /** @type {any} */ (globalThis).held()) === 0), "something is left");
      await tab.close();
    });

    test(`${where}: another tab gives the same options, or none, and hears which differ`, async () => {
      const [first, second] = [await openTab(), await openTab()];
      const share = async (/** @type {string} */ name, /** @type {boolean} */ hasWorker, /** @type {any} */ options) => {
        const { Broker } = await import("mist-pubsub");
        try {
          const broker = await Broker.shared(name, { ...(hasWorker ? {} : { worker: false }), ...options });
          await broker.client({ token: "root" }).ready;
          return "good";
        } catch (error) {
          const { code, message } = /** @type {any} */ (error);
          return `${code}: ${message}`;
        }
      };
      const name = `differ ${hasWorker}`;
      const limits = { "message-bytes": 4096, "tags-per-message": 9 };
      equal(await first.run(share, name, hasWorker, { token: "root", access: "scoped", limits }), "good");
      const same = { access: "scoped", limits: { "tags-per-message": 9, "message-bytes": 4096 } };
      for (const options of [{}, same, { token: "root" }]) equal(await second.run(share, name, hasWorker, options), "good");
      for (const [options, names] of /** @type {const} */ ([
        [{ token: "secret" }, "token"],
        [{ token: "secret", access: "open" }, "token, access"],
        [{ limits: {} }, "limits"],
      ])) {
        const told = await second.run(share, name, hasWorker, options);
        ok(told.startsWith(`invalid-argument: the shared broker "${name}" runs with other options (${names})`), told);
        ok(!/secret|root/.test(told), told);
      }
      await Promise.all([first.close(), second.close()]);
    });
  }

  test("a signal that is already aborted gives a client that is closed", async () => {
    const tab = await openTab();
    const told = await tab.run(async () => {
      const { Broker } = await import("mist-pubsub");
      const broker = await Broker.shared("aborted", { worker: false });
      const client = broker.client({ signal: AbortSignal.abort() });
      const name = await client.ready.catch((error) => error.name);
      await broker.close();
      return [client.state, name];
    });
    equal(told, ["closed", "AbortError"]);
    await tab.close();
  });

  test("in a tab: when that tab is closed another takes over, with all subscriptions", async () => {
    const first = await join("pass on", false, ["first"]);
    const second = await join("pass on", false, ["a"]);
    const third = await join("pass on", false, ["a"], ["b"]);
    equal([first.place, second.place, third.place], ["here", "other-tab", "other-tab"]);
    equal(await second.publish(["a"], "1"), 1);
    await first.close();
    const places = () => Promise.all([second, third].map((tab) => tab.run(() => /** @type {any} */ (globalThis).broker.place)));
    await until(async () => (await places()).includes("here"), "nobody takes over");
    const states = () => Promise.all([second, third].map((tab) => tab.run(() => /** @type {any} */ (globalThis).client.state)));
    await until(async () => (await states()).join() === "open,open", "somebody is left behind");
    equal((await places()).sort(), ["here", "other-tab"]);
    await Promise.all([second.heard(), third.heard()]);
    await until(async () => (await second.publish(["a", "b"], "2")) === 1);
    await until(async () => (await third.heard()).filter((/** @type {string} */ text) => text === "2").length >= 2);
    equal(await third.publish(["a"], "3"), 1);
    await until(async () => (await second.heard()).includes("3"));
    equal(await second.who(), { connections: 2, subscribers: 2 });
    await Promise.all([second.close(), third.close()]);
  });

  test("in a tab: the next makes the broker as it was, whatever it was told itself", async () => {
    const [first, second] = [await openTab(), await openTab()];
    const share = async (/** @type {import("mist-pubsub").SharedOptions} */ options) => {
      const { Broker } = await import("mist-pubsub");
      const broker = await Broker.shared("as it was", { worker: false, ...options });
      Object.assign(globalThis, { broker });
      return broker.place;
    };
    equal(await first.run(share, { token: "root", access: "scoped", limits: { "tags-per-message": 2 } }), "here");
    equal(await second.run(share, {}), "other-tab");
    await first.close();
    await until(() => second.run(() => /** @type {any} */ (globalThis).broker.place === "here"), "nobody takes over");
    const told = await second.run(async () => {
      const { broker } = /** @type {any} */ (globalThis);
      const stranger = broker.client();
      const refused = await stranger.subscribe(["a"]).ready.catch((/** @type {any} */ error) => error.serverCode);
      const root = broker.client({ token: "root" });
      await root.ready;
      const many = await root.publish(["a", "b", "c"], "", { ack: true }).catch((/** @type {any} */ error) => error.serverCode);
      return [refused, many];
    });
    equal(told, ["unauthenticated", "limit-exceeded"]);
    await second.close();
  });

  test("in a tab: when that tab leaves, its broker ends, and another takes over", async () => {
    const first = await join("leave", false, ["a"]);
    const second = await join("leave", false, ["a"]);
    equal([first.place, second.place], ["here", "other-tab"]);
    const told = await first.run(async () => {
      const { broker } = /** @type {any} */ (globalThis);
      const { Broker } = await import("mist-pubsub");
      const upstream = (await Broker.create()).client();
      await Promise.all([broker.close(), broker.close()]);
      return [() => broker.client(), () => broker.bridge(upstream, { up: [["a"]] })].map((make) => {
        try {
          return make();
        } catch (error) {
          return /** @type {any} */ (error).code;
        }
      });
    });
    equal(told, ["closed", "closed"]);
    await until(() => second.run(() => /** @type {any} */ (globalThis).broker.place === "here"), "nobody takes over");
    await until(() => second.run(() => /** @type {any} */ (globalThis).client.state === "open"));
    // The tab that left can come back, and is then as any other.
    const back = await first.run(async () => {
      const { Broker } = await import("mist-pubsub");
      const broker = await Broker.shared("leave", { worker: false });
      const { delivered } = await broker.client().publish(["a"], "again", { ack: true });
      return [broker.place, delivered];
    });
    equal(back, ["other-tab", 1]);
    await until(async () => (await second.heard()).includes("again"));
    await Promise.all([first.close(), second.close()]);
  });

  test("a place without worker files falls back to the tabs", async () => {
    const tab = await openTab();
    const place = await tab.run(async () => {
      const { Broker } = await import("mist-pubsub");
      const broker = await Broker.shared("fall back", {
        worker: () => {
          throw new Error("not allowed here");
        },
      });
      await broker.client().ready;
      const { place } = broker;
      await broker.close();
      return place;
    });
    equal(place, "here");
    await tab.close();
  });
}
