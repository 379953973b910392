/** The worker that has the broker of all tabs. It does not know how it is reached from a tab. */

import { differing } from "./differing.js";
import { Broker } from "./index.js";
import type { Hello, Welcome } from "./shared.js";
import type { BrokerOptions } from "./types.js";

let running: { options: BrokerOptions; broker: Promise<Broker> } | undefined;

/** Sees to it that there is a broker: the first tab says what it is to be; if that cannot be, the next one does. */
async function begin(options: BrokerOptions): Promise<Welcome> {
  for (;;) {
    const found = (running ??= { options, broker: Broker.create(options) });
    try {
      await found.broker;
      return { differs: differing(found.options, options) };
    } catch (error) {
      // Another tab may have begun a better one meanwhile.
      if (running === found) running = undefined;
      if (found.options === options) return { error: error instanceof Error ? error.message : String(error) };
    }
  }
}

addEventListener("connect", (event) => {
  const [tab] = (event as MessageEvent).ports;
  if (!tab) return;
  const ends: (() => void)[] = [];
  tab.onmessage = async ({ data }: MessageEvent<Hello>) => {
    if ("options" in data) {
      const { options, lock } = data;
      tab.postMessage(await begin(options));
      // Held by the tab as long as it lives: nothing else tells that it has gone.
      await navigator.locks.request(lock, () => ends.splice(0).forEach((end) => end()));
    } else if (running) {
      ends.push((await running.broker).attach(data.port));
    }
  };
});
