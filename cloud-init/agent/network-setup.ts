import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { accounts, places } from "../machine/layout.ts";
import { browserPolicy, updateManifest } from "../workloads/sentry/policy.ts";
import { nodePaths, readJson, writeSynced } from "./folder.ts";

/** What a machine is told of its network, once it runs and over SSH: it may hold a secret. */
export interface NetworkSetup {
  readonly name: string;
  readonly origin: string;
  /** A STUN server of the network's, as `<host>:<port>`. */
  readonly stun?: string;
  /** The packed extension, as base64, and the version that it is pinned to. */
  readonly extension: { readonly id: string; readonly version: string; readonly crx: string } | null;
  /** What the extension finds in its managed storage. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Writes what the browser and the agent need of the network: the extension and the manifest that offers this version and
 * no other, the policy (for root and the browser only), and the network's name and origin for the agent; then calls
 * `restart`. What was told before, to the last byte, changes nothing. Returns the name, the version, and whether it was
 * news. Throws a sentence where `value` is no network.
 */
export function setUpNetwork(
  directory: string,
  value: unknown,
  restart: () => void,
): { readonly network: string; readonly version: string | null; readonly news: boolean } {
  const { name, origin, stun, extension, settings } = checked(value);
  const told = { network: name, version: extension?.version ?? null };
  const sum = createHash("sha256").update(JSON.stringify(value)).digest("hex");
  if (readJson<string>(nodePaths(directory).told) === sum) return { ...told, news: false };
  mkdirSync(places.extension, { recursive: true, mode: 0o755 });
  if (extension !== null) {
    const crx = join(places.extension, `${extension.id}-${extension.version}.crx`);
    writeSynced(crx, Buffer.from(extension.crx, "base64"), 0o644);
    writeSynced(join(places.extension, "updates.xml"), updateManifest(extension, crx), 0o644);
  }
  writeSynced(places.policy, `${JSON.stringify(browserPolicy({ extension, settings }, places.extension))}\n`, 0o640);
  execFileSync("chgrp", [accounts.browser, places.policy]);
  const known = {
    name,
    origin,
    ...(stun === undefined ? {} : { stun }),
    extension: extension === null ? null : { id: extension.id, version: extension.version },
  };
  writeSynced(nodePaths(directory).network, `${JSON.stringify(known)}\n`, 0o644);
  restart();
  // Last: where the power goes before, all of it is done once more.
  writeSynced(nodePaths(directory).told, `${JSON.stringify(sum)}\n`, 0o600);
  return { ...told, news: true };
}

function checked(value: unknown): NetworkSetup {
  const { name, origin, stun, extension = null, settings = {} } = (value ?? {}) as Partial<NetworkSetup>;
  const wrong = (what: string): Error => new Error(`The network's ${what}`);
  if (typeof name !== "string" || !/^[a-z][a-z0-9-]{0,30}$/.test(name)) throw wrong("name is not one.");
  if (typeof origin !== "string" || !/^https?:\/\/[^\s/]+$/.test(origin)) throw wrong("origin is not one.");
  if (stun !== undefined && !/^[\w.-]+:\d{1,5}$/.test(stun)) throw wrong("stun is not <host>:<port>.");
  if (typeof settings !== "object" || settings === null) throw wrong("settings are not fields.");
  if (extension === null) return { name, origin, ...(stun === undefined ? {} : { stun }), extension, settings };
  const { id, version, crx } = extension;
  if (!/^[a-p]{32}$/.test(String(id))) throw wrong("extension has no id of 32 letters from a to p.");
  if (!/^\d+(\.\d+){0,3}$/.test(String(version))) throw wrong("extension has no version.");
  if (typeof crx !== "string" || Buffer.from(crx, "base64").toString("latin1", 0, 4) !== "Cr24")
    throw wrong("extension is not a CRX file in base64.");
  return { name, origin, ...(stun === undefined ? {} : { stun }), extension: { id, version, crx }, settings };
}
