import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { installerExit } from "../cloud-init/machine/collector-install.ts";
import type { Connection } from "../collector/journal/ssh.ts";
import type { CollectorRelease } from "./collector-release.ts";
import { ExplainedError } from "./problem.ts";

/** How a run of the installer on the collector's machine ended. */
export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the installer of the collector's machine with these words, and what it is given on its standard input. */
export type Installer = (words: readonly string[], input?: Readable) => Promise<Ran>;

/** Returns the installer behind a connection of the account whose key can run nothing else. */
export function installerOver({ client }: Connection): Installer {
  return (words, input) =>
    new Promise((resolve, reject) => {
      const gone = (): void => reject(failed("the connection broke off"));
      client.once("close", gone);
      client.exec(words.join(" "), (error, channel) => {
        if (error !== undefined) return reject(failed(error.message));
        let [out, err] = ["", ""];
        let code: number | null = null;
        channel.on("exit", (ended: number | null) => {
          code = ended;
        });
        channel.setEncoding("utf8").on("data", (text: string) => {
          out += text;
        });
        channel.stderr.setEncoding("utf8").on("data", (text: string) => {
          err += text;
        });
        channel.once("close", () => {
          client.off("close", gone);
          resolve({ code, out, err: err.trim() });
        });
        if (input === undefined) channel.end();
        // An installer that refuses what it is given says why, and does not read on.
        else pipeline(input, channel).catch(() => channel.end());
      });
    });
}

/** What the collector's machine is to have. */
export interface Wanted {
  readonly release: CollectorRelease;
  /** Files by the installer's names for them. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Drained journals of removed nodes, by the installer's names, and where they lie here: they move. */
  readonly spool: ReadonlyMap<string, string>;
}

/** What was carried. */
export interface Carried {
  /** Whether the release in use is another one now. */
  readonly release: boolean;
  /** Names of the files that differed, those that were taken away included, sorted. */
  readonly files: readonly string[];
  /** The SHA-256 of the daemon's unit there; null where there is none. */
  readonly unit: string | null;
}

/** What the daemon reads at its start only. */
const readAtStart: readonly string[] = ["alerts.json", "collector.env", "credentials.key", "recovery.json", "ssh-key"];

const patienceMs = 15 * 60_000;
const againMs = 2000;

/**
 * Brings the collector's machine to what is wanted, touching only what differs, and returns what did. `say` hears what it
 * is at. A machine that is still being set up is waited for. Throws `collector-not-carried` with the installer's own words
 * where it refuses, a release that does not become ready among them: then the one before is in its place again.
 */
export async function carry(run: Installer, wanted: Wanted, say: (text: string) => void): Promise<Carried> {
  const asked = async (words: readonly string[], input?: () => Readable): Promise<string> => {
    for (const deadline = performance.now() + patienceMs; ; ) {
      const { code, out, err } = await run(words, input?.());
      if (code === 0) return out;
      if (code !== installerExit.tryLater || performance.now() > deadline) throw failed(err || `it ended with ${code}`);
      say(err);
      await new Promise((resolve) => setTimeout(resolve, againMs));
    }
  };
  const there = readStatus(await asked(["status"]));
  const changed: string[] = [];
  for (const [name, bytes] of wanted.files) {
    const sum = sha256(bytes);
    if (there.files.get(name) === sum) continue;
    say(`carrying ${name}`);
    await asked(["put", name, sum], () => streamOf(bytes));
    changed.push(name);
  }
  for (const name of there.files.keys())
    if (!wanted.files.has(name)) {
      await asked(["drop", name]);
      changed.push(name);
    }
  for (const [name, file] of wanted.spool) {
    say(`carrying ${name}`);
    const bytes = await readFile(file);
    await asked(["put", name, sha256(bytes)], () => streamOf(bytes));
    await rm(file);
    changed.push(name);
  }
  const { id, file, sha256: sum, bytes } = wanted.release;
  if (!there.releases.has(id)) await asked(["release", id, sum], () => told(file, bytes, say));
  const another = there.release !== id;
  if (another || there.state !== "active" || changed.some((name) => readAtStart.includes(name))) {
    say("starting the collector");
    await asked(["use", id]);
  }
  return { release: another, files: changed.toSorted(), unit: there.unit };
}

interface Status {
  readonly release: string;
  readonly state: string;
  readonly unit: string | null;
  readonly releases: ReadonlySet<string>;
  readonly files: ReadonlyMap<string, string>;
}

function readStatus(text: string): Status {
  const lines = text.split("\n").map((line) => line.split(" "));
  const valuesOf = (word: string): string[][] => lines.flatMap(([first, ...rest]) => (first === word ? [rest] : []));
  const theOne = (word: string): string | undefined => valuesOf(word)[0]?.[0];
  if (theOne("installer") !== "1") throw failed(`its installer speaks another language: ${text.slice(0, 200)}`);
  return {
    release: theOne("release") ?? "",
    state: theOne("state") ?? "",
    unit: theOne("unit") ?? null,
    releases: new Set(valuesOf("has").map(([id = ""]) => id)),
    files: new Map(valuesOf("file").map(([name = "", sum = ""]) => [name, sum])),
  };
}

function told(file: string, bytes: number, say: (text: string) => void): Readable {
  const chunks = async function* (): AsyncIterable<Buffer> {
    let sent = 0;
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      yield chunk;
      sent += chunk.length;
      say(`carrying the release: ${Math.floor((sent / bytes) * 100)} % of ${Math.ceil(bytes / 1e6)} MB`);
    }
  };
  return Readable.from(chunks(), { objectMode: false });
}

function streamOf(bytes: Buffer): Readable {
  return Readable.from([bytes], { objectMode: false });
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function failed(why: string): ExplainedError {
  return new ExplainedError(
    "collector-not-carried",
    `The collector's machine could not be brought up to date: ${why.replace(/\.?$/, ".")}`,
    "Mend what it names and run npm run up again.",
  );
}
