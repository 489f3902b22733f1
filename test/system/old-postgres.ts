import { createServer } from "node:net";

/**
 * A server that speaks as much of PostgreSQL's wire protocol (version 3.0, chapter "Message Formats") as it takes to be
 * asked for its version, and says that it is `version`, a number such as 150004. Nothing else about it is a database.
 */
export async function oldPostgres(version: number): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    let greeted = false;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        // The first message has no letter before its length.
        const head = greeted ? 1 : 0;
        if (rest.length < head + 4) return;
        const length = head + rest.readInt32BE(head);
        if (rest.length < length) return;
        const kind = greeted ? String.fromCharCode(rest[0] ?? 0) : "startup";
        rest = rest.subarray(length);
        greeted = true;
        if (kind === "X") return void socket.end();
        socket.write(answerTo(kind, version));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return {
    url: `postgresql://reader@127.0.0.1:${address.port}/evidence`,
    close: () => server.close(),
  };
}

function answerTo(kind: string, version: number): Buffer {
  const ready = message("Z", Buffer.from("I"));
  switch (kind) {
    case "startup":
      return Buffer.concat([message("R", int32(0)), ready]);
    case "Q": {
      // One column: name, table, attribute, type int4, its size, modifier, format text.
      const column = [Buffer.from("version\0"), int32(0), int16(0), int32(23), int16(4), int32(-1), int16(0)];
      const text = Buffer.from(String(version));
      const row = message("D", int16(1), int32(text.length), text);
      const end = message("C", Buffer.from("SELECT 1\0"));
      return Buffer.concat([message("T", int16(1), ...column), row, end, ready]);
    }
    default:
      return Buffer.alloc(0);
  }
}

function message(letter: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}
