/** The worker that has the broker of all tabs. It does not know how it is reached from a tab. */

import { Broker } from "./index.js";
import type { Hello, Welcome } from "./shared.js";

let broker: Promise<Broker> | undefined;

addEventListener("connect", (event) => {
  const [tab] = (event as MessageEvent).ports;
  if (!tab) return;
  const ends: (() => void)[] = [];
  tab.onmessage = async ({ data }: MessageEvent<Hello>) => {
    if ("options" in data) {
      const { options, lock } = data;
      // The first tab says what the broker is to be; if that cannot be, the next one may say better.
      broker ??= Broker.create(options);
      try {
        await broker;
        tab.postMessage({ ready: true } satisfies Welcome);
      } catch (error) {
        broker = undefined;
        tab.postMessage({ error: error instanceof Error ? error.message : String(error) } satisfies Welcome);
      }
      // Held by the tab as long as it lives: nothing else tells that it has gone.
      await navigator.locks.request(lock, () => ends.splice(0).forEach((end) => end()));
    } else if (broker) {
      ends.push((await broker).attach(data.port));
    }
  };
});
