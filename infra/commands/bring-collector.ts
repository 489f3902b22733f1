import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { z } from "zod";
import { accounts, collectorPlaces, places } from "../../cloud-init/machine/layout.ts";
import { readConfig } from "../../collector/config.ts";
import { newKeyText } from "../../collector/credentials.ts";
import { readSshKey, type SshKey } from "../../collector/journal/ssh-key.ts";
import { accessKeyFile } from "../access-keys.ts";
import { type Carried, carry, installerOver, type Wanted } from "../collector-carry.ts";
import { type CollectorRelease, collectorRelease } from "../collector-release.ts";
import { cacheFolder, checkout, type Home } from "../engine/environment.ts";
import { stackOutput } from "../engine/stack.ts";
import { connectOnceBooted, knownHostLine, readKnownHost, shownHostKey } from "../first-contact.ts";
import { collectorUnitFile } from "../home.ts";
import { Reach } from "../inventory.ts";
import { networkServices } from "../network-services.ts";
import { BadInput, type Problem, quoted } from "../problem.ts";
import { writeOnce } from "../write-once.ts";
import type { Progress, Say } from "./progress.ts";

/** The stack's output `collector`: the collector's own machine. */
const CollectorMachine = z.object({ arch: z.enum(["x64", "arm64"]), machineId: z.string(), reach: Reach });
type SshReach = Extract<Reach, { readonly kind: "ssh" }>;

/** What SSH is told to call the machine, whatever its address is. */
const alias = "gradientlab-collector";

/**
 * Brings the collector's own machine, where the stack has one, the release of this checkout, the inventory, keys and
 * settings, and returns a sentence that says how its page is reached; null where the stack has none. What it has already is
 * not carried. Throws `BadInput` for settings that a collector would not take, `HostKeyRefused` with both fingerprints
 * where the machine's host key is another than the one that is kept, and what `carry` and `collectorRelease` throw.
 */
export async function bringCollector(place: Home, progress: Progress, stack: string): Promise<string | null> {
  const output = await stackOutput(place, stack, "collector");
  if (output === undefined) return null;
  const { arch, machineId, reach } = CollectorMachine.parse(output);
  if (reach.kind !== "ssh") throw new Error("The collector's machine is not reached by SSH.");
  const settings = await readSettings(place.home);
  return await progress.step("collector's machine", async (say) => {
    const key = readSshKey(accessKeyFile(place.home, "operator"));
    say("waiting for it to answer");
    const known = await pinned(place.home, machineId, reach, (sentence) => progress.note(sentence));
    say("making the release");
    const release = await collectorRelease(
      { arch, database: settings.embedded },
      { cache: join(cacheFolder(place.env), "releases"), say: (text) => say(`making the release: ${text}`) },
    );
    const carried = await carryOver(known, key, { release, ...(await carriedFrom(place.home, settings)) }, say);
    say(saidOf(carried, release));
    const own = await readFile(collectorUnitFile(checkout));
    if (carried.unit !== null && carried.unit !== createHash("sha256").update(own).digest("hex"))
      progress.note(unitDiffers);
    const { port } = settings;
    return `The collector runs on its own machine. Its page: run ${forward(place.home, known, port)} and open http://127.0.0.1:${port}`;
  });
}

const unitDiffers = `The systemd unit of the collector's machine is not this release's: copy deploy/systemd/${collectorPlaces.unit} to ${places.units} there, as docs/operating.md says.`;

/**
 * Returns the machine's way in, with the host key that counts for it: the one that its provider knows, else the one that was
 * kept of it, else the one that it shows now, which is kept and told. Throws `known-host` where what is kept cannot be read.
 */
export async function pinned(
  home: string,
  machineId: string,
  reach: SshReach,
  tell: (sentence: string) => void,
): Promise<SshReach> {
  const file = knownHostsIn(home);
  const [shownElsewhere] = reach.hostKeys;
  if (shownElsewhere !== undefined) {
    await writeFile(file, knownHostLine(alias, { machineId, line: shownElsewhere }), { mode: 0o600 });
    return reach;
  }
  const kept = existsSync(file) ? readKnownHost(await readFile(file, "utf8"), file) : undefined;
  if (kept?.machineId === machineId) return { ...reach, hostKeys: [kept.line] };
  const { line, fingerprint } = await shownHostKey(reach.host, reach.port);
  await writeFile(file, knownHostLine(alias, { machineId, line }), { mode: 0o600 });
  tell(
    `The collector's machine ${machineId} at ${reach.host} shows the host key ${fingerprint}. It is kept in ${file} and must stay the same; compare it with what the provider's serial console shows.`,
  );
  return { ...reach, hostKeys: [line] };
}

function knownHostsIn(home: string): string {
  return join(home, "keys", "collector-known-hosts");
}

/** Returns the command that forwards the page's port. */
function forward(home: string, { host, port }: SshReach, page: number): string {
  const options = [`UserKnownHostsFile=${knownHostsIn(home)}`, `HostKeyAlias=${alias}`, "IdentitiesOnly=yes"];
  const words = ["ssh", "-N", "-L", `${page}:127.0.0.1:${page}`, "-p", String(port), "-i"];
  words.push(accessKeyFile(home, "operator"), ...options.flatMap((option) => ["-o", option]));
  return [...words, `${accounts.operator}@${host}`].join(" ");
}

async function carryOver(reach: SshReach, key: SshKey, wanted: Wanted, say: Say): Promise<Carried> {
  const connection = await connectOnceBooted({ ...reach, user: accounts.install }, key);
  try {
    return await carry(installerOver(connection), wanted, say);
  } finally {
    connection.end();
  }
}

function saidOf({ release, files }: Carried, { id }: CollectorRelease): string {
  const parts = [...(release ? [`release ${id}`] : []), ...files];
  return parts.length === 0 ? `up to date with release ${id}` : `took ${parts.join(", ")}`;
}

/** What the operator says of the collector's environment, in the home folder. */
export interface CollectorSettings {
  /** The lines of `collector.env`. */
  readonly lines: readonly string[];
  readonly port: number;
  /** Whether the collector's database is the embedded one. */
  readonly embedded: boolean;
}

/** Variables that are the unit's own to set. */
const ofTheUnit = ["DATA_DIR", "INVENTORY", "NETWORKS", "SPOOL", "SSH_KEY", "CREDENTIALS_KEY", "WEB_ROOT"];
/** Files of the home folder that the collector is told of where they are there, by their variables. */
const optional = { ALERTS: "alerts.json", RECOVERY: "recovery.json" } as const;

/** Returns the settings in a home folder. Throws `BadInput` with every mistake in its file `collector.env`. */
export async function readSettings(home: string): Promise<CollectorSettings> {
  const file = join(home, "collector.env");
  const text = existsSync(file) ? await readFile(file, "utf8") : "";
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const problems: Problem[] = [];
  const given: Record<string, string> = {};
  for (const line of lines) {
    const [, name = "", value = ""] = /^([A-Z][A-Z0-9_]*)=([^"'\\]*)$/.exec(line) ?? [];
    const own = [...ofTheUnit, ...Object.keys(optional)].includes(name);
    if (name === "" || own)
      problems.push({
        path: name || "line",
        value: own ? quoted(value) : undefined,
        message: own ? `${name} is set, which is the unit's own.` : `A line is not NAME=value without quotes.`,
        fix: own ? "Remove it." : "Write one variable in each line.",
      });
    else given[name] = value;
  }
  if (problems.length > 0) throw new BadInput(file, problems);
  const { databaseUrl, port } = readConfig({
    ...given,
    DATA_DIR: `${collectorPlaces.state}/data`,
    INVENTORY: `${collectorPlaces.state}/inventory.json`,
  });
  return { lines, port, embedded: databaseUrl === null };
}

/** Returns what the home folder has for the collector, by the installer's names; the credentials' key is made where it is missing. */
export async function carriedFrom(
  home: string,
  { lines }: CollectorSettings,
): Promise<Pick<Wanted, "files" | "spool">> {
  const files = new Map<string, Buffer>();
  const take = async (name: string, file: string): Promise<void> => {
    files.set(name, await readFile(file));
  };
  // Before the daemon starts it must know its fleet.
  await take("inventory.json", join(home, "inventory.json"));
  await take("ssh-key", accessKeyFile(home, "collector"));
  const credentials = join(home, "credentials.key");
  await writeOnce(credentials, newKeyText());
  await take("credentials.key", credentials);
  const told: string[] = [];
  for (const [name, file] of Object.entries(optional)) {
    if (!existsSync(join(home, file))) continue;
    await take(file, join(home, file));
    told.push(`${name}=${collectorPlaces.state}/${file}`);
  }
  files.set("collector.env", Buffer.from([...lines, ...told].map((line) => `${line}\n`).join("")));
  const networks = join(home, "networks");
  for (const name of (await readdir(networks)).toSorted()) {
    if (!name.endsWith(".json") || !/^[A-Za-z0-9._-]+$/.test(name)) continue;
    const account = JSON.parse(await readFile(join(networks, name), "utf8")) as { network?: unknown };
    // The service of such a network runs on this machine, which the collector's does not reach.
    if (typeof account.network === "string" && Object.hasOwn(networkServices, account.network)) continue;
    await take(`networks/${name}`, join(networks, name));
  }
  return { files, spool: await spoolOf(join(home, "spool")) };
}

async function spoolOf(folder: string): Promise<Map<string, string>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".jsonl"))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(found.toSorted().map((file) => [join("spool", relative(folder, file)), file]));
}
