import { existsSync } from "node:fs";
import { chown, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { alertSettingsIn } from "../../collector/alerts/settings.ts";
import {
  type CredentialsKey,
  isSealed,
  newKeyText,
  opened,
  type Purpose,
  readKey,
  textOf,
} from "../../collector/credentials.ts";
import { accountIn } from "../../collector/networks/accounts.ts";
import { type CredentialPlaces, credentialPlaces } from "../credential-places.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { writeOnce } from "../write-once.ts";

export const usage = `npm run credentials -- key | list | seal
npm run credentials -- set <file> < <plain JSON>
npm run credentials -- show <file>

Keeps the collector's credentials encrypted: accounts of networks, alert settings, browsers' sessions.
  key    make the key, where there is none
  list   say of each file whether it is encrypted
  seal   encrypt every file that is not
  set    check what comes in as an account (networks/<name>.json) or as alert settings (alerts.json) and write it encrypted
  show   print a file decrypted
CREDENTIALS_KEY, NETWORKS, ALERTS and DATA_DIR name the collector's places where they are not this checkout's.
`;

/** A file of credentials that is there. */
interface Found {
  readonly file: string;
  readonly purpose: Purpose;
}

/** Makes a key, or lists, encrypts, writes or shows credentials. Returns 0. Throws `BadInput` naming what is wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
  const [verb, name, ...more] = positionals;
  const places = credentialPlaces(process.env);
  const say = (sentence: string): void => void process.stdout.write(`${sentence}\n`);
  const named = verb === "set" || verb === "show";
  if (more.length > 0 || named !== (name !== undefined)) throw misused(positionals);
  switch (verb) {
    case "key":
      say(await makeKey(places.keyFile));
      return 0;
    case "list":
      for (const { file } of await findAll(places))
        say(`${isSealed(await jsonIn(file)) ? "encrypted" : "plain    "} ${file}`);
      return 0;
    case "seal":
      await sealAll(places, say);
      return 0;
    case "set":
      say(await set(places, placeOf(places, name ?? ""), await text(process.stdin)));
      return 0;
    case "show": {
      const { file, purpose } = placeOf(places, name ?? "");
      if (!existsSync(file)) throw wrong(name ?? "", `There is no ${file}.`, "Name a file that list shows.");
      const key = existsSync(places.keyFile) ? readKey(places.keyFile) : null;
      say(JSON.stringify(opened(await jsonIn(file), file, purpose, { key }), null, 2));
      return 0;
    }
    default:
      throw misused(positionals);
  }
}

function misused(words: readonly string[]): BadInput {
  return wrong(
    words.join(" "),
    `"${words.join(" ")}" is not a way to use this command.`,
    "See npm run credentials -- --help.",
  );
}

function wrong(value: string, message: string, fix: string): BadInput {
  return new BadInput("The command", [{ path: "credentials", value, message, fix }]);
}

/** Returns the file that `name` stands for: `networks/<name>.json` or `alerts.json`, or its path. */
function placeOf({ networks, alerts }: CredentialPlaces, name: string): Found {
  if (name === "alerts.json" || resolve(name) === alerts) return { file: alerts, purpose: "alerts" };
  const file = name.startsWith("networks/") ? join(networks, basename(name)) : resolve(name);
  if (dirname(file) === networks && file.endsWith(".json")) return { file, purpose: "account" };
  const fix = `Name networks/<name>.json (in ${networks}) or alerts.json (${alerts}).`;
  throw wrong(name, `"${name}" is not a file of credentials.`, fix);
}

async function findAll({ networks, alerts, sessions }: CredentialPlaces): Promise<readonly Found[]> {
  const inside = async (folder: string, purpose: Purpose): Promise<Found[]> =>
    existsSync(folder)
      ? (await readdir(folder))
          .filter((name) => name.endsWith(".json"))
          .toSorted()
          .map((name) => ({ file: join(folder, name), purpose }))
      : [];
  return [
    ...(await inside(networks, "account")),
    ...(existsSync(alerts) ? [{ file: alerts, purpose: "alerts" as const }] : []),
    ...(await inside(sessions, "session")),
  ];
}

async function jsonIn(file: string): Promise<unknown> {
  return parsed(await readFile(file, "utf8"), file);
}

function parsed(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // What the parser says quotes the text, which may be a password.
    throw wrong(what, `${what} is not JSON.`, "Write it as docs/networks.md and docs/alerts.md show.");
  }
}

async function makeKey(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  if (!(await writeOnce(file, newKeyText()))) {
    const { id } = readKey(file);
    return `The key ${id} is in ${file} already.`;
  }
  await ownedAsFolder(file);
  const { id } = readKey(file);
  return `The key ${id} is in ${file}. Keep a copy elsewhere: without it nothing encrypted can be read. Start the collector with it.`;
}

async function keyIn({ keyFile }: CredentialPlaces): Promise<CredentialsKey> {
  if (!existsSync(keyFile)) process.stdout.write(`${await makeKey(keyFile)}\n`);
  return readKey(keyFile);
}

async function sealAll(places: CredentialPlaces, say: (sentence: string) => void): Promise<void> {
  const key = await keyIn(places);
  for (const { file, purpose } of await findAll(places)) {
    const value = await jsonIn(file);
    if (isSealed(value)) continue;
    await writePrivate(file, textOf(value, purpose, key));
    say(`${file} is encrypted now.`);
  }
}

async function set(places: CredentialPlaces, { file, purpose }: Found, json: string): Promise<string> {
  const value = parsed(json, "What came in");
  check(value, purpose);
  const key = await keyIn(places);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writePrivate(file, textOf(value, purpose, key));
  return `${file} is written, encrypted.`;
}

function check(value: unknown, purpose: Purpose): void {
  try {
    if (purpose === "alerts") alertSettingsIn(value, "What came in");
    else accountIn(value, "What came in");
  } catch (error) {
    if (!(error instanceof ExplainedError) || error instanceof BadInput) throw error;
    throw wrong("what came in", error.message, error.fix);
  }
}

/** Writes the file whole, for its owner only: the owner of its folder, where we may give it away. */
async function writePrivate(file: string, content: string): Promise<void> {
  const part = `${file}.part`;
  await writeFile(part, content, { mode: 0o600 });
  await ownedAsFolder(part);
  await rename(part, file);
}

async function ownedAsFolder(file: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(file));
  await chown(file, uid, gid);
}
