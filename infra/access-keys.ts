import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ed25519KeyPair } from "./ed25519-key.ts";
import { writeOnce } from "./write-once.ts";

/** Whose key it is: the collector's runs the agent's verbs only, the operator's administers a machine. */
export type AccessRole = "operator" | "collector";

const roles: readonly AccessRole[] = ["operator", "collector"];

/** Returns the file of a role's private key in a home folder; its public half lies beside it, ending in `.pub`. */
export function accessKeyFile(home: string, role: AccessRole): string {
  return join(home, "keys", role);
}

/**
 * Makes the keys with which this checkout reaches machines, where they are missing: Ed25519 in OpenSSH's own form, for
 * their owner only. A key that is there is never changed, so an operator may put another one in its place.
 */
export async function ensureAccessKeys(home: string): Promise<void> {
  await mkdir(join(home, "keys"), { recursive: true, mode: 0o700 });
  for (const role of roles) {
    const file = accessKeyFile(home, role);
    if (existsSync(`${file}.pub`)) continue;
    const made = ed25519KeyPair(`gradientlab-${role}`);
    const key = (await writeOnce(file, made.privateKey)) ? made.publicKey : await publicHalf(file, role);
    await writeOnce(`${file}.pub`, `${key}\n`);
  }
}

/** Returns the public keys that a home folder has, one line for each; none where it has none yet. */
export function publicAccessKeys(home: string): Readonly<Record<AccessRole, readonly string[]>> {
  const lines = (role: AccessRole): string[] => {
    const file = `${accessKeyFile(home, role)}.pub`;
    return existsSync(file) ? [readFileSync(file, "utf8").trim()] : [];
  };
  return { operator: lines("operator"), collector: lines("collector") };
}

/** A private key is there without its public half: somebody put it there, or another process is about to. */
async function publicHalf(file: string, role: AccessRole): Promise<string> {
  // Loaded here because it takes longer than all the rest.
  const { utils } = (await import("ssh2")).default;
  const parsed = utils.parseKey(readFileSync(file, "utf8"));
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error || key === undefined) throw new Error(`${file} holds no private key: ${key?.message}`);
  return `${key.type} ${key.getPublicSSH().toString("base64")} gradientlab-${role}`;
}
