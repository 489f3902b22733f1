import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { accounts, places } from "../../../../cloud-init/machine/layout.ts";
import { AgentError, HostKeyRefused } from "../../../../collector/journal/agent.ts";
import { type Connection, connectThrough } from "../../../../collector/journal/ssh.ts";
import type { SshKey } from "../../../../collector/journal/ssh-key.ts";
import type { ServiceInfo } from "../../../../practice/service-info.ts";
import type { Reach } from "../../../inventory.ts";
import { ExplainedError } from "../../../problem.ts";
import { hostInside } from "./emulator.ts";

/** Until the answer of a machine that is busy with its first boot is given up. */
const answerMs = 300_000;
/** How long a machine may take to let the operator in: it may be booting, on a busy host and in software emulation. */
const bootMs = 15 * 60_000;
const retryMs = 1000;

/**
 * Tells a machine its network, by the operator's key and never by user data, because it may hold a secret; where that is
 * news to it, its workload starts anew. A machine that is booting is waited for. Throws `network-not-told` with what the
 * machine said, `AgentError` where it lets nobody in.
 */
export async function tellNetwork(
  reach: Extract<Reach, { kind: "ssh" }>,
  operator: SshKey,
  name: string,
  { origin, extension, enrolCode }: ServiceInfo,
): Promise<void> {
  const inside = new URL(origin);
  inside.hostname = hostInside;
  const setup = {
    name,
    origin: inside.origin,
    extension: { id: extension.id, version: extension.version, crx: await readFile(extension.crx, "base64") },
    settings: { origin: inside.origin, enrolCode },
  };
  const { client, end } = await connectOnceBooted({ ...reach, user: accounts.operator }, operator);
  const deadline = setTimeout(end, answerMs);
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("close", () => reject(failed(name, "the connection broke off")));
      client.exec(`sudo /usr/bin/node ${places.agent} network`, (error, channel) => {
        if (error !== undefined) return reject(failed(name, error.message));
        let text = "";
        let code: number | null = null;
        channel.stderr.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        channel.on("exit", (exit: number | null) => {
          code = exit;
        });
        channel.resume();
        once(channel, "close").then(
          () => (code === 0 ? resolve() : reject(failed(name, text.trim() || `it ended with ${code}`))),
          reject,
        );
        channel.end(JSON.stringify(setup));
      });
    });
  } finally {
    clearTimeout(deadline);
    end();
  }
}

/** Until it has booted, a machine answers nobody, or breaks off, or lets root in only: all of that is tried again. */
async function connectOnceBooted(to: Extract<Reach, { kind: "ssh" }>, key: SshKey): Promise<Connection> {
  const deadline = performance.now() + bootMs;
  for (;;) {
    try {
      return await connectThrough(to, key, () => undefined);
    } catch (error) {
      if (!(error instanceof AgentError) || error instanceof HostKeyRefused || performance.now() > deadline)
        throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

function failed(name: string, why: string): ExplainedError {
  return new ExplainedError(
    "network-not-told",
    `The machine could not be told its network ${name}: ${why}.`,
    "Run it again with --refresh; its console is in its folder.",
  );
}
