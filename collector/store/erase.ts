import type { Archives } from "./archive/archives.ts";
import { eraseFromArchive, keptArchives, removeLeftovers, withArchiveLock } from "./archive/archiving.ts";
import { bodies } from "./archive/kept-bodies.ts";
import { packs } from "./archive/kept-packs.ts";
import type { Database } from "./database.ts";
import { packBefore } from "./packing.ts";

/** When and why something was erased. */
export interface Erasure {
  readonly when: Date;
  readonly why: string;
}

/**
 * Erases the bodies of an account's readings that were finished before `before`, for good, in the database and in the
 * archives: headers, facts and chains stay, and each body says when and why it went. `owner` is a connection of the
 * schema's owner. Returns how many.
 * @throws ArchiveUnreadable when one of them is in an archive that is not there; then nothing is erased.
 */
export async function eraseBodies(
  owner: Database,
  archives: Archives,
  account: { readonly network: string; readonly account: string },
  before: Date,
  erased: Erasure,
  say: (text: string) => void = () => undefined,
): Promise<number> {
  const gone = await withArchiveLock(owner, "wait", async (session) => {
    await removeLeftovers(session, archives);
    const own = (one: { network: string; account: string; finished_at: Date }): boolean =>
      one.network === account.network && one.account === account.account && one.finished_at < before;
    const erase = (on: Database, archive: number | null) =>
      on
        .updateTable("reading_body")
        .set({ body: null, archive_id: null, archive_row: null, erased: noteOf(erased) })
        .from("reading")
        .whereRef("reading.id", "=", "reading_body.reading_id")
        .where("reading.network", "=", account.network)
        .where("reading.account", "=", account.account)
        .where("reading.finished_at", "<", before)
        .where("reading_body.erased", "is", null)
        .where("reading_body.archive_id", archive === null ? "is" : "=", archive)
        .executeTakeFirst();
    const found = [];
    for (const archive of await keptArchives(session, bodies.kind)) {
      const count = (await bodies.inArchive(session, archive.id)).filter(own).length;
      if (count > 0) found.push({ archive, count });
    }
    for (const { archive } of found) await archives.check(archive);
    let count = 0;
    for (const one of found) {
      await eraseFromArchive(session, archives, bodies, one.archive, own, (on) => erase(on, one.archive.id), say);
      count += one.count;
    }
    return count + Number((await erase(session, null)).numUpdatedRows);
  });
  return gone ?? 0;
}

/**
 * Erases the lines of a node from days that ended before `day`, a UTC midnight, for good, in the database and in the
 * archives: chains, layers, hours and days stay, and each pack says when and why its lines went. `owner` is a connection of
 * the schema's owner. Returns how many lines there were.
 * @throws ArchiveUnreadable when one of them is in an archive that is not there; then nothing is erased.
 */
export async function eraseLines(
  owner: Database,
  archives: Archives,
  nodeId: number,
  day: Date,
  erased: Erasure,
  say: (text: string) => void = () => undefined,
): Promise<number> {
  const gone = await withArchiveLock(owner, "wait", async (session) => {
    await removeLeftovers(session, archives);
    const own = (pack: { node_id: number; to_at: Date }): boolean => pack.node_id === nodeId && pack.to_at < day;
    const erase = (on: Database, archive: number | null) =>
      on
        .updateTable("line_pack")
        .set({ sample_lines: null, event_lines: null, archive_id: null, archive_row: null, erased: noteOf(erased) })
        .where("node_id", "=", nodeId)
        .where("to_at", "<", day)
        .where("erased", "is", null)
        .where("archive_id", archive === null ? "is" : "=", archive)
        .returning(["samples", "events"])
        .execute();
    const linesIn = (some: readonly { samples: number; events: number }[]): number =>
      some.reduce((sum, { samples, events }) => sum + samples + events, 0);
    const found = [];
    for (const archive of await keptArchives(session, packs.kind)) {
      const lines = linesIn((await packs.inArchive(session, archive.id)).filter(own));
      if (lines > 0) found.push({ archive, lines });
    }
    for (const { archive } of found) await archives.check(archive);
    await packBefore(session, nodeId, day);
    let lines = 0;
    for (const one of found) {
      await eraseFromArchive(session, archives, packs, one.archive, own, (on) => erase(on, one.archive.id), say);
      lines += one.lines;
    }
    return lines + linesIn(await erase(session, null));
  });
  return gone ?? 0;
}

function noteOf({ when, why }: Erasure): string {
  return JSON.stringify({ when: when.toISOString(), why });
}
