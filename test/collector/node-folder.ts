import { randomUUID } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { takeFlock } from "../../cloud-init/agent/flock.ts";
import {
  appendToJournal,
  type JournalLimits,
  journalExtent,
  type LineDraft,
  readJournal,
} from "../../cloud-init/agent/journal.ts";

/** A node's folder with the real agent in it and a journal that a test writes. */
export interface NodeFolder {
  readonly directory: string;
  readonly key: string;
  readonly machineId: string;
  /** Appends a line to the journal as the agent does and returns its number and the journal's id. */
  append(draft: Partial<LineDraft> & { readonly at?: string }): { readonly journal: string; readonly n: number };
  /** The numbers of all lines that the journal holds. */
  numbers(): number[];
  journal(): string;
  /** Writes the journal into `spool` as a node that goes away does. */
  drain(spool: string): Promise<string>;
  /** Holds the node's lock, as its processes do while one lives. Returns the release. */
  live(): () => void;
}

let agent: Promise<string> | undefined;

/** Bundles the agent as nodes get it; once for each test file. */
function builtAgent(): Promise<string> {
  agent ??= (async () => {
    const folder = await mkdtemp(join(tmpdir(), "collector-agent-"));
    const input = fileURLToPath(new URL("../../cloud-init/agent/main.ts", import.meta.url));
    const made = await rolldown({ input: { agent: input }, platform: "node" });
    await made.write({ dir: folder, format: "cjs", entryFileNames: "[name].cjs" });
    await made.close();
    return join(folder, "agent.cjs");
  })();
  return agent;
}

/** Gives up the folder that `builtAgent` wrote to, for the caller to remove; who needs an agent then builds it anew. */
export async function agentFolder(): Promise<string | undefined> {
  const built = agent;
  agent = undefined;
  return built === undefined ? undefined : dirname(await built);
}

/** Makes a node's folder below `parent`; `everySeconds` is the distance of its samples. */
export async function nodeFolder(
  parent: string,
  key: string,
  {
    everySeconds = 10,
    machineId = randomUUID(),
    limits,
  }: { everySeconds?: number; machineId?: string; limits?: JournalLimits } = {},
): Promise<NodeFolder> {
  const directory = join(parent, key);
  await mkdir(join(directory, "bin"), { recursive: true });
  await mkdir(join(directory, "journal"), { recursive: true });
  await copyFile(await builtAgent(), join(directory, "agent.cjs"));
  const script = join(directory, "bin", "agent");
  await writeFile(
    script,
    `#!/bin/sh\nexec '${process.execPath}' "$(dirname "$(dirname "$(readlink -f "$0")")")/agent.cjs" "$@"\n`,
  );
  await chmod(script, 0o700);
  const spec = {
    schema: 1,
    key,
    machineId,
    everySeconds,
    workload: "sentry",
    revision: { machine: 1, software: 1 },
    units: [],
    network: null,
    probes: { runtime: { kind: "unit", unit: "browser" }, app: null },
  };
  await writeFile(join(directory, "node.json"), JSON.stringify(spec));
  await writeFile(join(directory, "lock"), "");
  const folder = join(directory, "journal");
  const boot = randomUUID();
  return {
    directory,
    key,
    machineId,
    append(draft) {
      const at = draft.at ?? new Date().toISOString();
      const line = { boot, at, mono_ms: 1, kind: "sample", every_s: everySeconds, ...draft } as LineDraft;
      return appendToJournal(folder, line, limits);
    },
    numbers() {
      const { lines = [] } = readJournal(folder, "start", Number.MAX_SAFE_INTEGER) ?? {};
      return lines.map((text) => (JSON.parse(text) as { n: number }).n);
    },
    journal: () => journalExtent(folder)?.journal ?? "",
    async drain(spool) {
      const part = readJournal(folder, "start", Number.MAX_SAFE_INTEGER);
      if (part === undefined) throw new Error("there is no journal to drain");
      const { journal, first, last, lines } = part;
      const file = join(spool, key, `${journal}.jsonl`);
      await mkdir(dirname(file), { recursive: true });
      const header = JSON.stringify({ key, machineId, journal, first, last, now: new Date().toISOString() });
      const trailer = JSON.stringify({ end: true, count: lines.length, more: false });
      await writeFile(file, `${[header, ...lines, trailer].join("\n")}\n`);
      return file;
    },
    live: () => takeFlock(join(directory, "lock"), "exclusive", 5),
  };
}
