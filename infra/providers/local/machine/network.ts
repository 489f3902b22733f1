import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { accounts, places } from "../../../../cloud-init/machine/layout.ts";
import { connectThrough } from "../../../../collector/journal/ssh.ts";
import type { SshKey } from "../../../../collector/journal/ssh-key.ts";
import type { ServiceInfo } from "../../../../practice/service-info.ts";
import type { Reach } from "../../../inventory.ts";
import { ExplainedError } from "../../../problem.ts";

/** This machine, as an emulated one reaches it. */
const hostInside = "10.0.2.2";

/** Until the answer of a machine that is busy with its first boot is given up. */
const answerMs = 120_000;

/**
 * Tells a machine its network, by the operator's key and never by user data, because it may hold a secret; then starts
 * its workload anew. Throws `network-not-told` with what the machine said.
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
  const { client, end } = await connectThrough({ ...reach, user: accounts.operator }, operator, () => undefined);
  const deadline = setTimeout(end, answerMs);
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("close", () => reject(failed(name, "the connection broke off")));
      const restart = "systemctl try-restart 'gradientlab-browser.service'";
      client.exec(`sudo sh -c "/usr/bin/node ${places.agent} network && ${restart}"`, (error, channel) => {
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

function failed(name: string, why: string): ExplainedError {
  return new ExplainedError(
    "network-not-told",
    `The machine could not be told its network ${name}: ${why}.`,
    "Run it again with --refresh; its console is in its folder.",
  );
}
