import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import type { Socket } from "node:net";
import { MeasureFailed } from "./measure.ts";

/**
 * A WebSocket client (RFC 6455) for text messages on the loopback address, without extensions. Node.js 18 has none of
 * its own, and the usual library is more than half of what a boot document may hold.
 */
export interface TextSocket {
  send(text: string): void;
  onMessage(listen: (text: string) => void): void;
  /** Called once, when the connection is gone. */
  onClose(listen: (error: Error) => void): void;
  close(): void;
}

/** Longer messages than anything that a page of ours answers end the connection. */
const maxMessageBytes = 16 * 1024 * 1024;
const text = 1;
const close = 8;
const ping = 9;
const pong = 10;

/** Connects to `path` at a port of 127.0.0.1. Throws `MeasureFailed`: `timeout`, `devtools-closed`; or the system's error. */
export async function openTextSocket(port: number, path: string, timeoutMs: number): Promise<TextSocket> {
  const key = randomBytes(16).toString("base64");
  const { socket, head } = await new Promise<{ socket: Socket; head: Buffer }>((resolve, reject) => {
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
    };
    const asked = request({ host: "127.0.0.1", port, path, headers, timeout: timeoutMs });
    asked.on("upgrade", (response, upgraded: Socket, first: Buffer) => {
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      if (response.headers["sec-websocket-accept"] === accept) resolve({ socket: upgraded, head: first });
      else reject(new MeasureFailed("devtools-closed", "The server is no WebSocket server."));
    });
    asked.on("response", (response) => {
      asked.destroy();
      reject(new MeasureFailed("devtools-closed", `The server answered ${response.statusCode}.`));
    });
    asked.on("timeout", () => asked.destroy(new MeasureFailed("timeout")));
    asked.on("error", reject);
    asked.end();
  });
  return textSocket(socket, head);
}

function textSocket(socket: Socket, head: Buffer): TextSocket {
  socket.setTimeout(0);
  let rest = Buffer.alloc(0);
  let message: Buffer[] = [];
  let listen: (text: string) => void = () => undefined;
  let listenClose: (error: Error) => void = () => undefined;
  let failure: Error | undefined;

  const take = (chunk: Buffer): void => {
    rest = Buffer.concat([rest, chunk]);
    for (let frame = frameIn(rest); frame !== undefined; frame = frameIn(rest)) {
      rest = rest.subarray(frame.bytes);
      if (frame.opcode === ping) socket.write(masked(pong, frame.payload));
      else if (frame.opcode === close) socket.end(masked(close, frame.payload.subarray(0, 2)));
      else if (frame.opcode <= text) {
        message.push(frame.payload);
        if (!frame.last) continue;
        const whole = Buffer.concat(message).toString("utf8");
        message = [];
        listen(whole);
      }
    }
    const held = rest.length + message.reduce((sum, part) => sum + part.length, 0);
    if (held > maxMessageBytes) socket.destroy(new MeasureFailed("devtools-closed", "A message is too long."));
  };
  socket.on("data", take);
  socket.on("error", (error) => {
    failure = error;
  });
  socket.on("close", () => listenClose(failure ?? new MeasureFailed("devtools-closed")));
  // What came with the handshake waits until whoever asked for the socket listens.
  setImmediate(() => take(head));
  return {
    send: (words) => void socket.write(masked(text, Buffer.from(words, "utf8"))),
    onMessage(listener) {
      listen = listener;
    },
    onClose(listener) {
      listenClose = listener;
    },
    close: () => void socket.destroy(),
  };
}

/** The first whole frame of `bytes`, or `undefined` where more has to come. A server's frames are not masked. */
function frameIn(bytes: Buffer) {
  if (bytes.length < 2) return undefined;
  const short = bytes.readUInt8(1) & 0x7f;
  const header = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (bytes.length < header) return undefined;
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < header + length) return undefined;
  const first = bytes.readUInt8(0);
  return {
    last: (first & 0x80) !== 0,
    opcode: first & 0x0f,
    payload: bytes.subarray(header, header + length),
    bytes: header + length,
  };
}

/** A whole frame of a client: masked, as the standard asks of every client. */
function masked(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header.writeUInt8(0x80 | opcode, 0);
  header.writeUInt8(0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127), 1);
  if (header.length === 4) header.writeUInt16BE(length, 2);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  const out = Buffer.from(payload);
  for (let i = 0; i < length; i++) out[i] = (out[i] as number) ^ (mask[i & 3] as number);
  return Buffer.concat([header, mask, out]);
}
