import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import ssh from "ssh2";
import { BadInput } from "../../infra/problem.ts";
import { othersMayRead } from "../file-mode.ts";

/** The key by which nodes know the collector: its private half as text, and its fingerprint for messages. */
export interface SshKey {
  readonly privateKey: string;
  readonly fingerprint: string;
}

/** Returns the fingerprint of a public key in its wire form, as `ssh-keygen -l` shows it. */
export function fingerprintOf(wire: Buffer): string {
  return `SHA256:${createHash("sha256").update(wire).digest("base64").replace(/=+$/, "")}`;
}

/**
 * Returns the collector's own key, with which it asks nodes over SSH, from the file that `SSH_KEY` names.
 * @throws BadInput naming SSH_KEY where it cannot be read, is not a private key without a passphrase, or others may read it.
 */
export function readSshKey(file: string): SshKey {
  const refuse = (message: string, fix: string): BadInput =>
    new BadInput("The collector's environment", [{ path: "SSH_KEY", value: file, message, fix }]);
  let text: string;
  let mode: number;
  try {
    text = readFileSync(file, "utf8");
    mode = statSync(file).mode;
  } catch (error) {
    throw refuse(
      `SSH_KEY is ${file}, which cannot be read: ${(error as Error).message}.`,
      "Name the file of a private key.",
    );
  }
  if (othersMayRead(file, mode))
    throw refuse(`SSH_KEY is ${file}, which others than its owner may read.`, `Run: chmod 600 ${file}`);
  const parsed = ssh.utils.parseKey(text);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error || key === undefined)
    throw refuse(
      `SSH_KEY is ${file}, which holds no key that can be used: ${key?.message ?? "it is empty"}.`,
      "Name a private key without a passphrase: ssh-keygen -t ed25519 -N ''",
    );
  if (!key.isPrivateKey())
    throw refuse(`SSH_KEY is ${file}, which is a public key.`, "Name the file of the private key beside it.");
  return { privateKey: text, fingerprint: fingerprintOf(key.getPublicSSH()) };
}
