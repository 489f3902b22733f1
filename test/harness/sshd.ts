import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { SshKey } from "../../collector/journal/ssh-key.ts";
import { fingerprintOf } from "../../collector/journal/ssh-key.ts";
import { ed25519KeyPair } from "../../infra/ed25519-key.ts";
import { until } from "./checkout.ts";

const binary = "/usr/sbin/sshd";

/** Why no SSH server can be run here, or null where one can. */
export const noSshd: string | null = existsSync(binary)
  ? null
  : "there is no SSH server: run `sudo apt-get install openssh-server`";

/** A key pair: the private half as the collector has it, the public half as it stands in a file. */
export interface KeyPair {
  readonly key: SshKey;
  readonly public: string;
}

/** Returns a new Ed25519 key pair. */
export function keyPair(): KeyPair {
  const { privateKey, publicKey } = ed25519KeyPair("test");
  const wire = Buffer.from(publicKey.split(" ")[1] ?? "", "base64");
  return { key: { privateKey, fingerprint: fingerprintOf(wire) }, public: publicKey };
}

/** An OpenSSH server on a loopback port, of the account that runs the tests. */
export interface Sshd {
  readonly port: number;
  readonly user: string;
  readonly hostKey: string;
  /** Lines for the file of authorized keys; they hold for the next connection. */
  authorize(lines: readonly string[]): Promise<void>;
  /** The sessions that it let in since it began, by its own log. */
  accepted(): number;
  stop(): Promise<void>;
}

/**
 * Starts one in a temporary folder, with `host` as its key, and returns when it listens. `settings` are lines of its
 * configuration, `addresses` those on which it listens, 16 at the most.
 */
export async function startSshd(
  settings: readonly string[] = [],
  host: ReturnType<typeof ed25519KeyPair> = ed25519KeyPair("host"),
  addresses: readonly string[] = ["127.0.0.1"],
): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), "sshd-"));
  const port = await freePort();
  await writeFile(join(folder, "host"), host.privateKey, { mode: 0o600 });
  await writeFile(join(folder, "authorized"), "", { mode: 0o600 });
  await writeFile(
    join(folder, "config"),
    [
      // Of a setting that stands twice the first one holds.
      ...settings,
      ...addresses.map((address) => `ListenAddress ${address}:${port}`),
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "authorized")}`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no",
      "AuthenticationMethods publickey",
      "PermitRootLogin forced-commands-only",
      "LogLevel VERBOSE",
      "MaxStartups 200",
      "",
    ].join("\n"),
  );
  // Started as root it wants the folder that its package's service makes at boot.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true });
  const child: ChildProcess = spawn(binary, ["-D", "-e", "-f", join(folder, "config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  };
  try {
    await until(
      "the SSH server to listen",
      30_000,
      () => log.split("Server listening").length > addresses.length,
      () => log,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    user: userInfo().username,
    hostKey: host.publicKey,
    authorize: (lines) => writeFile(join(folder, "authorized"), lines.map((line) => `${line}\n`).join("")),
    accepted: () => log.split("Accepted publickey").length - 1,
    stop,
  };
}

/** Returns a port of the loopback address that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
