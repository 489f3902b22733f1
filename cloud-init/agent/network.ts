import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import { connect as secure } from "node:tls";
import type { NetMeasures } from "./line.ts";
import type { Measures } from "./measure.ts";
import { MeasureFailed } from "./measure.ts";

const stepMs = 5000;

/**
 * Returns how long each step to `origin` took, in milliseconds: name look-up (none for an address), TCP connection and
 * TLS handshake (https only). Nothing is sent. A step that failed stands in `measures.errors`, and no later one is tried.
 */
export async function measureNetwork(origin: string, measures: Measures): Promise<NetMeasures> {
  const url = new URL(origin);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  const named = isIP(host) === 0;
  const net: { dns_ms?: number; connect_ms?: number; tls_ms?: number } = {};

  const begun = performance.now();
  const address = named ? await measures.attempt("net.dns_ms", async () => (await lookup(host)).address) : host;
  if (address === undefined) return net;
  if (named) net.dns_ms = since(begun);

  await measures.attempt("net.connect_ms", async () => {
    const start = performance.now();
    const socket = connect({ host: address, port });
    try {
      await event(socket, "connect");
      net.connect_ms = since(start);
      if (url.protocol !== "https:") return;
      await measures.attempt("net.tls_ms", async () => {
        const hello = performance.now();
        const tls = secure({ socket, ...(named ? { servername: host } : {}) });
        await event(tls, "secureConnect");
        net.tls_ms = since(hello);
        tls.destroy();
      });
    } finally {
      socket.destroy();
    }
  });
  return net;
}

/**
 * Returns how long a STUN server took to answer a binding request, in milliseconds: whether UDP gets out and back
 * (RFC 8489, sections 5 and 6.2). `server` is `<host>:<port>`. Throws `MeasureFailed` `timeout`, or the system's error.
 */
export async function measureUdp(server: string): Promise<number> {
  const at = server.lastIndexOf(":");
  const transaction = randomBytes(12);
  const request = Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), transaction]);
  const socket = createSocket("udp4");
  let timer: NodeJS.Timeout | undefined;
  try {
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      socket.on("message", (answer) => {
        // A success response to this very request; anything else is not for us.
        if (answer.length >= 20 && answer.readUInt16BE(0) === 0x0101 && answer.subarray(8, 20).equals(transaction))
          resolve();
      });
      socket.on("error", reject);
      socket.send(request, Number(server.slice(at + 1)), server.slice(0, at), (error) => error && reject(error));
      timer = setTimeout(() => reject(new MeasureFailed("timeout")), stepMs);
    });
    return since(start);
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

function since(start: number): number {
  return Math.round((performance.now() - start) * 10) / 10;
}

async function event(socket: NodeJS.EventEmitter, name: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(name, resolve);
      socket.once("error", reject);
      timer = setTimeout(() => reject(new MeasureFailed("timeout")), stepMs);
    });
  } finally {
    clearTimeout(timer);
  }
}
