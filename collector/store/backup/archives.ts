import { copyFile, mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { ExplainedError } from "../../../infra/problem.ts";
import { type ArchiveFile, type Archives, ArchiveUnreadable } from "../archive/archives.ts";
import { archiveLock } from "../archive/archiving.ts";
import { syncFolder } from "../durable.ts";
import { sumOfFile } from "../file-sum.ts";
import type { Manifest } from "./manifest.ts";

const subfolder = "archives";

/** Returns where a copy of an archive lies in the folder of a backup. */
export function placeInBackup(file: string): string {
  return join(subfolder, file);
}

/** Keeps archives as they are for as long as the session lasts; waits for whoever writes one. */
export async function holdArchives(session: pg.Client): Promise<void> {
  await session.query("select pg_advisory_lock_shared($1)", [archiveLock]);
}

/**
 * Copies the archives that the database has into the folder of a backup, where they are not there yet; without `archives`
 * they are listed only. Returns what the manifest says of them. @throws ArchiveUnreadable
 */
export async function backUpArchives(
  session: pg.Client,
  archives: Archives | undefined,
  folder: string,
  say: (text: string) => void,
): Promise<NonNullable<Manifest["archives"]>> {
  // A schema of an earlier release has none.
  const { rowCount } = await session.query("select where to_regclass('archive') is not null");
  if (rowCount === 0) return [];
  const { rows } = await session.query<{ file: string; sha256: string; bytes: string }>(
    "select file, sha256, bytes from archive where state = 'kept' order by month, kind",
  );
  const files = rows.map(({ bytes, ...row }) => ({ ...row, bytes: Number(bytes), copied: archives !== undefined }));
  if (archives === undefined || files.length === 0) return files;
  for (const archive of files) {
    await put(archive, archives.path(archive.file), join(folder, placeInBackup(archive.file)));
    say(`archives: ${archive.file}`);
  }
  return files;
}

/**
 * Brings the archives of a backup into a folder. Returns the names of those that are neither in the backup nor there.
 * @throws ExplainedError `archive-there` when a file of that name is there and is another one.
 */
export async function restoreArchives(
  manifest: Manifest,
  folder: string,
  archives: Archives | undefined,
  say: (text: string) => void,
): Promise<string[]> {
  const missing: string[] = [];
  for (const { copied, ...archive } of manifest.archives ?? []) {
    const there = archives === undefined ? null : await sumOfFile(archives.path(archive.file));
    if (there?.sha256 === archive.sha256) continue;
    if (archives === undefined || !copied) {
      missing.push(archive.file);
      continue;
    }
    if (there !== null) {
      throw new ExplainedError(
        "archive-there",
        `${archives.path(archive.file)} is there and is not the archive of that name in the backup.`,
        "Name another folder by ARCHIVES, or move that file away.",
      );
    }
    await put(archive, join(folder, placeInBackup(archive.file)), archives.path(archive.file));
    say(`archives: ${archive.file}`);
  }
  return missing;
}

/** Copies a file to where it is not yet, so that under its name it is whole. @throws ArchiveUnreadable */
async function put(archive: ArchiveFile, from: string, to: string): Promise<void> {
  if ((await sumOfFile(to))?.sha256 === archive.sha256) return;
  const sum = await sumOfFile(from);
  if (sum?.sha256 !== archive.sha256) throw new ArchiveUnreadable(sum === null ? "missing" : "changed", archive.file);
  await mkdir(join(to, ".."), { recursive: true, mode: 0o700 });
  await copyFile(from, `${to}.part`);
  const handle = await open(`${to}.part`, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  if ((await sumOfFile(`${to}.part`))?.sha256 !== archive.sha256) throw new ArchiveUnreadable("changed", archive.file);
  await rename(`${to}.part`, to);
  await syncFolder(join(to, ".."));
}
