/** Owns that the package can be loaded and passes a message, and that the harness itself works. */

import { Broker, connect } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function ({ test, assert, startServer, webSocket }) {
  const options = webSocket ? { webSocket } : {};

  test("two clients of a broker reach each other", async () => {
    const broker = await Broker.create();
    const [reader, writer] = [broker.client(), broker.client()];
    const subscription = reader.subscribe(["a"]);
    await subscription.ready;
    await writer.publish(["b", "a"], "hi");
    for await (const { tags, data } of subscription) {
      assert.equal([tags, data], [["a", "b"], "hi"]);
      break;
    }
    await broker.close();
  });

  test("a server answers, stops, and starts again at the same place", async () => {
    const server = await startServer();
    const ping = async () => {
      const client = connect(server.ws, options);
      await client.ready;
      assert.ok((await client.ping()) >= 0);
      await client.close();
    };
    await ping();
    await server.stop();
    await server.start();
    await ping();
  });
}
