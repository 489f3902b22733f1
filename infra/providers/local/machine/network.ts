import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { accounts, places } from "../../../../cloud-init/machine/layout.ts";
import type { SshKey } from "../../../../collector/journal/ssh-key.ts";
import type { ServiceInfo } from "../../../../practice/service-info.ts";
import { connectOnceBooted } from "../../../first-contact.ts";
import type { Reach } from "../../../inventory.ts";
import { ExplainedError } from "../../../problem.ts";
import { hostInside } from "./emulator.ts";

/** Until the answer of a machine that is busy with its first boot is given up. */
const answerMs = 15 * 60_000;

/**
 * Tells a machine its network, by the operator's key and never by user data, because it may hold a secret; where that is
 * news to it, its workload starts anew. A machine that is booting is waited for. Throws `machine-not-told` with what the
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
  await tellAgent(reach, operator, { verb: "network", what: `its network ${name}` }, setup);
}

/**
 * Brings a machine another agent, by the operator's key: its program's text, which has to run there before it takes the
 * old one's place, and the software revision that it is. Nothing that runs is disturbed. Throws as `tellNetwork` does.
 */
export function bringAgent(
  reach: Extract<Reach, { kind: "ssh" }>,
  operator: SshKey,
  program: string,
  software: number,
): Promise<void> {
  return tellAgent(reach, operator, { verb: "install", what: "its new agent" }, { program, software });
}

/** Runs a verb of root's with `value` as its input. */
async function tellAgent(
  reach: Extract<Reach, { kind: "ssh" }>,
  operator: SshKey,
  { verb, what }: { readonly verb: string; readonly what: string },
  value: unknown,
): Promise<void> {
  const failed = (why: string): ExplainedError =>
    new ExplainedError(
      "machine-not-told",
      `The machine could not be given ${what}: ${why}.`,
      "Run it again with --refresh; its console is in its folder.",
    );
  const { client, end } = await connectOnceBooted({ ...reach, user: accounts.operator }, operator);
  const deadline = setTimeout(end, answerMs);
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("close", () => reject(failed("the connection broke off")));
      client.exec(`sudo /usr/bin/node ${places.agent} ${verb}`, (error, channel) => {
        if (error !== undefined) return reject(failed(error.message));
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
          () => (code === 0 ? resolve() : reject(failed(text.trim() || `it ended with ${code}`))),
          reject,
        );
        channel.end(JSON.stringify(value));
      });
    });
  } finally {
    clearTimeout(deadline);
    end();
  }
}
