import { type AddressInfo, createServer, type Socket } from "node:net";
import { debuggingEndpoint } from "../cloud-init/agent/devtools.ts";
import { nodePaths } from "../cloud-init/agent/folder.ts";
import { MeasureFailed } from "../cloud-init/agent/measure.ts";
import { accounts, ports } from "../cloud-init/machine/layout.ts";
import { connectThrough } from "../collector/journal/ssh.ts";
import type { SshKey } from "../collector/journal/ssh-key.ts";
import type { Reach } from "./inventory.ts";
import { ExplainedError } from "./problem.ts";

/** A node's debugging endpoint as this machine reaches it, until `close`. */
export interface DebuggingAccess {
  /** `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  close(): Promise<void>;
}

/**
 * Returns the way to the debugging endpoint of a node's browser: its own port for processes on this machine, else a port
 * of this machine that SSH forwards, by the operator's key and to the one account that may do nothing else. While it is
 * open, whoever has an account on this machine can use it too.
 * Throws `no-browser` where the browser of a node of processes does not run, and as `connectThrough` does.
 */
export async function debuggingAccess(
  reach: Reach,
  operator: () => SshKey,
  farPort: number = ports.debugging,
): Promise<DebuggingAccess> {
  switch (reach.kind) {
    case "process":
      return { endpoint: `http://127.0.0.1:${portOf(reach.directory)}`, close: () => Promise.resolve() };
    case "ssh":
      return await forwarded({ ...reach, user: accounts.enrol }, operator(), farPort);
    default:
      return reach satisfies never;
  }
}

function portOf(directory: string): number {
  try {
    return debuggingEndpoint(nodePaths(directory).profile).port;
  } catch (error) {
    if (!(error instanceof MeasureFailed)) throw error;
    throw new ExplainedError(
      "no-browser",
      `No browser runs in ${directory}.`,
      "Start the fleet: npm start. Its page shows when the browser is up.",
      { cause: error },
    );
  }
}

async function forwarded(
  reach: Extract<Reach, { kind: "ssh" }>,
  key: SshKey,
  farPort: number,
): Promise<DebuggingAccess> {
  const open = new Set<Socket>();
  const { client, end } = await connectThrough(reach, key, () => {
    for (const socket of open) socket.destroy();
  });
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket)).on("error", () => socket.destroy());
    client.forwardOut("127.0.0.1", 0, "127.0.0.1", farPort, (error, stream) => {
      // Whoever connected sees that it was closed, and says what it wanted there.
      if (error !== undefined) return void socket.destroy();
      stream.on("error", () => socket.destroy()).once("close", () => socket.destroy());
      socket.once("close", () => stream.destroy());
      socket.pipe(stream).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
      end();
    },
  };
}
