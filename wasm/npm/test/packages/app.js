/** What an application does with the package: passes a message in its page, and one through the broker of all tabs. */

import { Broker } from "mist-pubsub";

/** @param {Pick<Broker, "client">} broker */
async function pass(broker) {
  const [reader, writer] = [broker.client(), broker.client()];
  const subscription = reader.subscribe(["bus"]);
  const heard = subscription[Symbol.asyncIterator]().next();
  await Promise.all([subscription.ready, writer.ready]);
  await writer.publish(["late", "bus"], "12 min");
  return (await heard).value.data;
}

async function run() {
  const broker = await Broker.create();
  const alone = await pass(broker);
  await broker.close();
  const shared = await Broker.shared("packages");
  return { alone, shared: await pass(shared), place: shared.place };
}

globalThis.outcome = run();
