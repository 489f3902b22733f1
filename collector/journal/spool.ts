import { createReadStream } from "node:fs";
import { readdir, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type SamplesHeader, type SamplesItem, samplesReader } from "../../cloud-init/agent/samples.ts";
import { NodeKey } from "../../infra/inventory.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { type FindWorkload, rulesOf } from "../inventory/workloads.ts";
import { explanationOf, type Log, sentenceOf } from "../log.ts";
import { forgetDeletedUnread } from "../store/absence.ts";
import type { Database } from "../store/database.ts";
import { storeJournalPart } from "../store/journals.ts";
import { nodeOfSpool } from "../store/nodes.ts";

/** What importing the spool needs of the world. */
export interface SpoolDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly workloads: FindWorkload;
}

const itemsPerPart = 5_000;

/** Returns an import of everything in the spool folder; a file that was refused is told of once as long as it stays. */
export function spoolImport(folder: string, dependencies: SpoolDependencies): () => Promise<void> {
  const refused = new Map<string, string>();
  return async () => {
    for (const file of await spooledFiles(folder)) {
      const { size, mtimeMs } = await stat(file);
      const mark = `${size}:${mtimeMs}`;
      if (refused.get(file) === mark) continue;
      try {
        await importFile(folder, file, dependencies);
        refused.delete(file);
      } catch (error) {
        dependencies.log(
          "error",
          `The drained journal ${file} was not imported: ${sentenceOf(error)}`,
          explanationOf(error),
        );
        refused.set(file, mark);
      }
    }
  };
}

/** Returns the journals at `<group>/<slot>/<journal>.jsonl`, oldest first. */
async function spooledFiles(folder: string): Promise<string[]> {
  const files: { file: string; at: number }[] = [];
  for (const group of await names(folder)) {
    for (const slot of await names(join(folder, group))) {
      for (const name of await names(join(folder, group, slot))) {
        if (!name.endsWith(".jsonl")) continue;
        const file = join(folder, group, slot, name);
        files.push({ file, at: (await stat(file)).mtimeMs });
      }
    }
  }
  return files.toSorted((one, other) => one.at - other.at).map(({ file }) => file);
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

/** The file is read twice: nothing of it is stored before its trailer was seen, and it may be too large to hold. */
async function importFile(folder: string, file: string, dependencies: SpoolDependencies): Promise<void> {
  const { database, log, now, workloads } = dependencies;
  let firstAt: Date | null = null;
  let lastAt: Date | null = null;
  const header = await readFile(file, async (items) => {
    for (const item of items) {
      if (item.kind === "damaged") continue;
      lastAt = new Date(item.line.at);
      firstAt ??= lastAt;
    }
  });
  const { key, machineId } = header;
  if (key === undefined || machineId === undefined || !NodeKey.safeParse(key).success) {
    throw new ExplainedError(
      "spool-header",
      "its header does not say whose lines they are",
      "Remove the file by hand.",
    );
  }
  if (firstAt !== null && lastAt !== null) {
    const node = await nodeOfSpool(database, { key, machineId, firstAt, lastAt });
    const rules = rulesOf(await workloads(node.workload));
    let stored = 0;
    await readFile(file, async (items) => {
      const part = await storeJournalPart(database, { nodeId: node.id, machineId, header, items }, rules, now());
      stored += part.stored;
    });
    await forgetDeletedUnread(database, node.id);
    log("info", "spool-imported", { node: key, journal: header.journal, lines: stored });
  }
  await unlink(file);
  await removeEmpty(folder, dirname(file));
}

async function readFile(file: string, take: (items: readonly SamplesItem[]) => Promise<void>): Promise<SamplesHeader> {
  const reader = samplesReader({ after: null });
  let items: SamplesItem[] = [];
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    items.push(...reader.push(chunk));
    if (items.length < itemsPerPart) continue;
    await take(items);
    items = [];
  }
  const { header } = reader.end();
  if (items.length > 0) await take(items);
  return header;
}

async function removeEmpty(top: string, folder: string): Promise<void> {
  for (let at = folder; at !== top && at.startsWith(top); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return;
      throw error;
    }
  }
}
