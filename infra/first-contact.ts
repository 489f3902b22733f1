import { AgentError, HostKeyRefused } from "../collector/journal/agent.ts";
import { type Connection, connectThrough } from "../collector/journal/ssh.ts";
import { fingerprintOf, type SshKey } from "../collector/journal/ssh-key.ts";
import type { Reach } from "./inventory.ts";
import { ExplainedError } from "./problem.ts";

type SshReach = Extract<Reach, { readonly kind: "ssh" }>;

/** How long a machine may take to let the operator in: it may be booting, on a busy host and in software emulation. */
const bootMs = 60 * 60_000;
const retryMs = 1000;
const handshakeMs = 30_000;

/**
 * Connects to a machine that may be booting: until then it answers nobody, or breaks off, or lets root in only, and all of
 * that is tried again. Throws `HostKeyRefused` at once, and AgentError where it lets nobody in.
 */
export async function connectOnceBooted(to: SshReach, key: SshKey): Promise<Connection> {
  return await onceBooted(() => connectThrough(to, key, () => undefined));
}

/** A host key as a machine shows it: its line as `type body`, and its fingerprint. */
export interface ShownKey {
  readonly line: string;
  readonly fingerprint: string;
}

/**
 * Returns the Ed25519 host key that a machine shows, once it answers. Nothing proves that it is the machine's own: whoever
 * asks keeps it, and tells the fingerprint to somebody who can compare it. Throws AgentError where nothing answers.
 */
export async function shownHostKey(host: string, port: number): Promise<ShownKey> {
  return await onceBooted(() => handshake(host, port));
}

async function handshake(host: string, port: number): Promise<ShownKey> {
  // Loaded here because it takes longer than all the rest.
  const { default: ssh } = await import("ssh2");
  const client = new ssh.Client();
  try {
    return await new Promise((resolve, reject) => {
      client.on("error", (error) =>
        reject(new AgentError(null, `${host}:${port} cannot be reached: ${error.message}`)),
      );
      client.once("close", () => reject(new AgentError(null, `${host}:${port} showed no host key`)));
      client.connect({
        host,
        port,
        username: "nobody",
        readyTimeout: handshakeMs,
        algorithms: { serverHostKey: ["ssh-ed25519"] },
        hostVerifier: (shown: Buffer) => {
          resolve({ line: `ssh-ed25519 ${shown.toString("base64")}`, fingerprint: fingerprintOf(shown) });
          return false;
        },
      });
    });
  } finally {
    client.destroy();
  }
}

async function onceBooted<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + bootMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof AgentError) || error instanceof HostKeyRefused || performance.now() > deadline)
        throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/** Whose host key is kept in a file of known hosts: the machine, by its provider's id. */
export interface KnownHost {
  readonly machineId: string;
  readonly line: string;
}

/** Returns the line of a file of known hosts, sshd(8), for a machine that SSH is told to call `alias`. */
export function knownHostLine(alias: string, { machineId, line }: KnownHost): string {
  return `${alias} ${line} ${machineId}\n`;
}

/** Returns what such a line holds. Throws `known-host` where it is no such line. */
export function readKnownHost(text: string, file: string): KnownHost {
  const [, line, machineId] = /^\S+ (ssh-ed25519 [A-Za-z0-9+/]+=*) (\S+)\n?$/.exec(text) ?? [];
  if (line !== undefined && machineId !== undefined) return { machineId, line };
  throw new ExplainedError(
    "known-host",
    `${file} holds no host key of the collector's machine.`,
    "Remove it: the next npm run up asks the machine again, and tells the fingerprint.",
  );
}
