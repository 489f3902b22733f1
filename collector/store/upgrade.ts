import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ExplainedError } from "../../infra/problem.ts";
import type { Log } from "../log.ts";
import { findBackup } from "./backup/manifest.ts";
import { restoreBackup } from "./backup/restore.ts";
import { openSession } from "./backup/session.ts";
import { takeBackup } from "./backup/take.ts";
import { syncFolder, writeDurably } from "./durable.ts";
import { embeddedMajor, holdFolder, majorOf, startEmbedded, upgradeFolder, upgradeMark } from "./embedded.ts";

export interface UpgradeOrder {
  /** The folder of the embedded database. */
  readonly directory: string;
  readonly release: string;
  readonly now: Date;
  /** Returns the folder of the binaries of an earlier major version. */
  readonly binaries: (major: string) => Promise<string>;
}

/** What an upgrade did. `kept` is the folder in which the old data lies as it was. */
export interface Upgraded {
  readonly from: string;
  readonly to: string;
  readonly kept: string;
}

const markSchema = z.strictObject({ from: z.string(), kept: z.string() });

/**
 * Moves the data of the embedded database to this release's major version: a server of the old one gives a backup, a new
 * data folder beside it is filled from it and compared, and only then the two change places. The old folder stays, under
 * another name. Killed at any moment, the next one goes on; a collector does not start between the two folders. Returns
 * null when there is nothing to move.
 * @throws BadInput when a collector uses the data. @throws ExplainedError as `UpgradeOrder.binaries`, `takeBackup` and
 * `restoreBackup`, or when the disk is too small.
 */
export async function upgradeEmbedded(
  order: UpgradeOrder,
  log: Log,
  say: (text: string) => void,
): Promise<Upgraded | null> {
  const { directory } = order;
  const verified = existsSync(upgradeMark(directory));
  const from = await majorOf(directory);
  if (!verified && (from === null || from === embeddedMajor)) return null;
  const folder = upgradeFolder(directory);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const release = await holdFolder(folder);
  try {
    if (!verified && from !== null) {
      say(`PostgreSQL ${from}`);
      await move(order, { major: from, native: await order.binaries(from) }, log, say);
      const mark = { from, kept: freeName(directory, `cluster-${from}`) };
      await writeDurably(upgradeMark(directory), JSON.stringify(mark));
    }
    say("exchange");
    return await exchange(directory);
  } finally {
    await release();
  }
}

/** Fills a new data folder beside the old one. What an attempt before has filled may be of another day: it is made anew. */
async function move(
  order: UpgradeOrder,
  binaries: { readonly major: string; readonly native: string },
  log: Log,
  say: (text: string) => void,
): Promise<void> {
  const { directory } = order;
  const fresh = freshFolder(directory);
  const backup = join(upgradeFolder(directory), "backup");
  await rm(fresh, { recursive: true, force: true });
  if ((await findBackup(backup)).kind === "whole") await rm(backup, { recursive: true });
  const old = await startEmbedded(directory, log, binaries);
  try {
    const url = old.url("postgres");
    await refuseSmallDisk(directory, url);
    const pieceBytes = 64 * 1024 * 1024;
    await takeBackup({ url, folder: backup, release: order.release, now: order.now, pieceBytes }, (text) =>
      say(`reading ${text}`),
    );
  } finally {
    await old.stop();
  }
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  // The server's account stays the same, where it is one that was made for it.
  const accounts = join(directory, "accounts.json");
  if (existsSync(accounts)) await copyFile(accounts, join(fresh, "accounts.json"));
  const server = await startEmbedded(fresh, log);
  try {
    const url = server.url("postgres");
    await restoreBackup({ url, folder: backup, dataFolder: directory }, (text) => say(`writing ${text}`));
  } finally {
    await server.stop();
  }
}

async function refuseSmallDisk(directory: string, url: string): Promise<void> {
  const session = await openSession(url);
  const { rows } = await session
    .query<{ bytes: string }>("select pg_database_size(current_database()) as bytes")
    .finally(() => session.end());
  const disk = await statfs(directory);
  const free = disk.bavail * disk.bsize;
  // The backup is compressed; half of the data is more than it takes.
  const needed = 1.5 * Number(rows[0]?.bytes) + 200 * 1024 * 1024;
  if (free >= needed) return;
  const inMib = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);
  throw new ExplainedError(
    "disk-small",
    `The upgrade takes ${inMib(needed)} MiB beside the old data, and ${directory} has ${inMib(free)} MiB free.`,
    "Free what is missing, or move the checkout's .gradientlab folder to a larger disk. Nothing was changed.",
  );
}

/** Puts the new data folder and its password in the place of the old ones. Each step finds those before it done. */
async function exchange(directory: string): Promise<Upgraded> {
  const mark = markSchema.parse(JSON.parse(await readFile(upgradeMark(directory), "utf8")));
  const cluster = join(directory, "cluster");
  const kept = join(directory, mark.kept);
  const fresh = freshFolder(directory);
  const password = join(directory, "password");
  const keptPassword = `${kept}.password`;
  if (!existsSync(keptPassword)) {
    await copyFile(password, `${keptPassword}.part`);
    await rename(`${keptPassword}.part`, keptPassword);
  }
  if (!existsSync(kept)) await rename(cluster, kept);
  if (existsSync(join(fresh, "cluster"))) await rename(join(fresh, "cluster"), cluster);
  if (existsSync(join(fresh, "password"))) await rename(join(fresh, "password"), password);
  await syncFolder(directory);
  await rm(fresh, { recursive: true, force: true });
  await rm(join(upgradeFolder(directory), "backup"), { recursive: true, force: true });
  await rm(upgradeFolder(directory), { recursive: true, force: true });
  return { from: mark.from, to: embeddedMajor, kept };
}

function freshFolder(directory: string): string {
  return join(upgradeFolder(directory), "new");
}

/** Returns a name that nothing in the folder has yet. */
function freeName(directory: string, name: string): string {
  for (let n = 1; ; n++) {
    const one = n === 1 ? name : `${name}-${n}`;
    if (!existsSync(join(directory, one))) return one;
  }
}
