import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { openTextSocket } from "../../cloud-init/agent/websocket.ts";

async function serving<T>(serve: (socket: WebSocket) => void, work: (port: number) => Promise<T>): Promise<T> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  server.on("connection", serve);
  try {
    return await work((server.address() as AddressInfo).port);
  } finally {
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("the agent's WebSocket", () => {
  it("carries texts of every length both ways, whole and in pieces, to a server of the common library", async () => {
    const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000];
    const texts = [...lengths.map((length) => "ä".repeat(length)), ...fc.sample(fc.string({ unit: "grapheme" }), 20)];
    const echo = (socket: WebSocket): void => {
      socket.on("message", (data) => {
        // Cut inside a letter.
        const bytes = Buffer.from(String(data));
        socket.ping();
        socket.send(bytes.subarray(0, 3), { fin: false, binary: false });
        socket.send(bytes.subarray(3), { fin: true, binary: false });
      });
    };
    await serving(echo, async (port) => {
      const socket = await openTextSocket(port, "/devtools", 5000);
      const got: string[] = [];
      const all = new Promise<void>((resolve) => {
        socket.onMessage((text) => {
          got.push(text);
          if (got.length === texts.length) resolve();
        });
      });
      for (const text of texts) socket.send(text);
      await all;
      socket.close();
      expect(got).toEqual(texts);
    });
  });

  it("says that the other side closed", async () => {
    await serving(
      (socket) => socket.close(),
      async (port) => {
        const socket = await openTextSocket(port, "/", 5000);
        const error = await new Promise<Error>((resolve) => socket.onClose(resolve));
        expect(error).toMatchObject({ code: "devtools-closed" });
      },
    );
  });

  it("refuses a server that speaks HTTP only", async () => {
    const server = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(openTextSocket(port, "/", 5000)).rejects.toMatchObject({ code: "devtools-closed" });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});
