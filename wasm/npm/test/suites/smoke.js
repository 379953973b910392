/** Owns that the package can be loaded and passes a message, and that the harness itself works. */

import { createBroker } from "mist-pubsub";

/** @type {import("../harness/suite.js").Suite} */
export default function ({ test, assert, startServer, webSocket }) {
  test("two sessions of one broker reach each other", async () => {
    const broker = await createBroker(1n);
    const heard = new Promise((resolve) => {
      const reader = broker.connect(resolve);
      broker.receive(reader, '{"command":"subscribe","tags":["a"]}');
    });
    const writer = broker.connect(() => {});
    broker.receive(writer, '{"command":"publish","tags":["b","a"],"data":"hi"}');
    assert.equal(await heard, '{"command":"publish","tags":["a","b"],"data":"hi"}');
  });

  test("a server answers, stops, and starts again at the same place", async () => {
    const server = await startServer();
    const Socket = webSocket ?? WebSocket;
    const ask = () =>
      new Promise((resolve, reject) => {
        const socket = new Socket(server.ws);
        socket.onopen = () => socket.send('{"command":"ping"}');
        socket.onmessage = (/** @type {{ data: unknown }} */ event) => {
          resolve(event.data);
          socket.close();
        };
        socket.onerror = () => reject(new Error("no connection"));
      });
    assert.equal(await ask(), '{"command":"ping","data":"pong"}');
    await server.stop();
    await server.start();
    assert.equal(await ask(), '{"command":"ping","data":"pong"}');
  });
}
