import { randomUUID } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { withFlock } from "./flock.ts";
import {
  type AppMeasures,
  decodeLine,
  encodeLine,
  type JournalLine,
  lineVersion,
  type MachineMeasures,
  type MeasureError,
  type NetMeasures,
  type NodeEvent,
  type RuntimeMeasures,
} from "./line.ts";

/**
 * A node's journal on disk. `journal.json` holds its id; segments `<first n>.jsonl` hold the lines, oldest first; `high`
 * holds the highest number ever given out, so that a number is not given twice even if lines that had it are lost.
 * One writer at a time, by `lock`; readers share that lock, so they never see a line that is not safely on disk.
 */

/** How much a journal keeps: a segment's size, the size of all and the age of the oldest line; the smaller wins. */
export interface JournalLimits {
  readonly segmentBytes: number;
  readonly totalBytes: number;
  readonly maxAgeMs: number;
  /** Bytes of the disk that the journal holds in reserve, to go on with when nothing else is left. */
  readonly reserveBytes: number;
}

/** 14 days or 64 MiB, and two days of samples when the disk is full. */
export const journalLimits: JournalLimits = {
  segmentBytes: 1024 * 1024,
  totalBytes: 64 * 1024 * 1024,
  maxAgeMs: 14 * 24 * 3600 * 1000,
  reserveBytes: 512 * 1024,
};

/** Lines longer than this are not written. */
const maxLineBytes = 64 * 1024;

/** The clock readings of a line. */
export interface Stamp {
  readonly boot: string;
  readonly at: string;
  readonly mono_ms: number;
  readonly every_s: number;
}

/** A line that has no number yet. */
export interface LineDraft extends Stamp {
  readonly kind: JournalLine["kind"];
  readonly event?: NodeEvent;
  readonly machine?: MachineMeasures;
  readonly runtime?: RuntimeMeasures;
  readonly app?: AppMeasures;
  readonly net?: NetMeasures;
  readonly errors?: readonly MeasureError[];
}

/** What a journal holds: its id, its oldest and newest line. `first` is `last + 1` where it holds none. */
export interface JournalExtent {
  readonly journal: string;
  readonly first: number;
  readonly last: number;
}

/** Where a reader stands: the last line it has, or the beginning. */
export type Cursor = { readonly journal: string; readonly n: number } | "start";

/** A stretch of a journal: the lines as they stand on disk, without newlines. */
export interface JournalPart extends JournalExtent {
  readonly lines: readonly string[];
  /** The number of the last line here; the cursor's own where there is none. */
  readonly through: number;
  /** Whether lines are left behind the last one here. */
  readonly more: boolean;
}

interface Segment {
  readonly first: number;
  readonly file: string;
}

const lockSeconds = 10;

/**
 * Appends one line and returns its number and the journal's id. Makes the journal where there is none, with an event
 * `journal-created` first. A half-written line at the end is cut off; what was lost is told by an event
 * `journal-recovered` {lost_from, lost_to}, whose own number is the next one never given out. On a full disk it lives on
 * its reserve, with an event `disk-full`, then on its oldest lines; an event `disk-freed` tells of the end.
 * The line is on disk (fsync) when this returns. Throws the system's error where it cannot be, and leaves no half line;
 * throws `LockBusy` where another writer holds the journal.
 */
export function appendToJournal(
  folder: string,
  draft: LineDraft,
  limits: JournalLimits = journalLimits,
  now: Date = new Date(),
): { readonly journal: string; readonly n: number } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return withFlock(join(folder, "lock"), "exclusive", lockSeconds, () => {
    const known = journalId(folder) ?? orphanedId(folder);
    const journal = known ?? randomUUID();
    if (journalId(folder) === undefined) nameJournal(folder, journal);
    const stamp: Stamp = { boot: draft.boot, at: draft.at, mono_ms: draft.mono_ms, every_s: draft.every_s };
    const end = recoverEnd(folder);
    let n = end.last;
    const append = (line: LineDraft): void => {
      n = Math.max(n, end.high) + 1;
      appendLine(folder, encodeLine({ v: lineVersion, j: journal, n, ...line }), n, limits);
    };
    if (known === undefined) append({ ...stamp, kind: "event", event: { name: "journal-created" } });
    else if (end.high > end.last)
      append({
        ...stamp,
        kind: "event",
        event: { name: "journal-recovered", lost_from: end.last + 1, lost_to: end.high },
      });
    const whole = reserveSize(folder) === limits.reserveBytes;
    append(draft);
    if (whole && reserveSize(folder) !== limits.reserveBytes)
      append({ ...stamp, kind: "event", event: { name: "disk-full" } });
    else if (keepReserve(folder, limits)) append({ ...stamp, kind: "event", event: { name: "disk-freed" } });
    prune(folder, limits, now);
    return { journal, n };
  });
}

/** Returns the journal's id and extent, or `undefined` where none was begun. */
export function journalExtent(folder: string): JournalExtent | undefined {
  if (journalId(folder) === undefined) return undefined;
  return withFlock(join(folder, "lock"), "shared", lockSeconds, () => extent(folder, sync(folder)));
}

/**
 * Returns the lines behind `cursor`, at most `maxBytes` of them (but always one where there is one), or `undefined`
 * where no journal was begun. A cursor of another journal stands for the beginning. What is returned is safely on disk.
 */
export function readJournal(folder: string, cursor: Cursor, maxBytes: number): JournalPart | undefined {
  if (journalId(folder) === undefined) return undefined;
  return withFlock(join(folder, "lock"), "shared", lockSeconds, () => {
    const segments = sync(folder);
    const whole = extent(folder, segments);
    const after = cursor === "start" || cursor.journal !== whole.journal ? 0 : cursor.n;
    const lines: string[] = [];
    let bytes = 0;
    let through = after;
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1];
      if (next !== undefined && next.first <= after + 1) continue;
      for (const { n, text } of segmentLines(segment)) {
        if (n <= after) continue;
        const size = Buffer.byteLength(text) + 1;
        if (lines.length > 0 && bytes + size > maxBytes) return { ...whole, lines, through, more: true };
        lines.push(text);
        bytes += size;
        through = n;
      }
    }
    return { ...whole, lines, through, more: false };
  });
}

function journalId(folder: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(folder, "journal.json"), "utf8")) as { journal: string }).journal;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The journal that the lines in `folder` say they belong to, where the file that names it is lost. */
function orphanedId(folder: string): string | undefined {
  for (const segment of segmentsIn(folder))
    for (const { text } of segmentLines(segment)) {
      const decoded = decodeLine(text);
      if ("line" in decoded) return decoded.line.j;
    }
  return undefined;
}

function nameJournal(folder: string, journal: string): void {
  const file = join(folder, "journal.json");
  writeDurably(`${file}.part`, JSON.stringify({ schema: 1, journal }));
  renameSync(`${file}.part`, file);
  syncFolder(folder);
}

function segmentsIn(folder: string): Segment[] {
  return readdirSync(folder)
    .filter((name) => /^\d{15}\.jsonl$/.test(name))
    .sort()
    .map((name) => ({ first: Number.parseInt(name, 10), file: join(folder, name) }));
}

/** The whole lines of a segment with their numbers; a damaged line is counted on from the one before. */
function* segmentLines(segment: Segment): Generator<{ n: number; text: string }> {
  const text = readFileSync(segment.file, "utf8");
  let n = segment.first - 1;
  let from = 0;
  for (let to = text.indexOf("\n"); to >= 0; to = text.indexOf("\n", from)) {
    const line = text.slice(from, to);
    from = to + 1;
    n = numberOf(line, n + 1);
    yield { n, text: line };
  }
}

/** A number other than the expected one is believed only of a sound line: it stands behind lines that were lost. */
function numberOf(line: string, expected: number): number {
  const told = Number(/^\{"v":\d+,"j":"[0-9a-f-]{36}","n":(\d+),/.exec(line)?.[1]);
  return told > expected && "line" in decodeLine(line) ? told : expected;
}

/** A crash between write and fsync leaves a line in the cache only: put it on disk before anyone reads it. */
function sync(folder: string): Segment[] {
  const segments = segmentsIn(folder);
  const newest = segments.at(-1);
  if (newest !== undefined) {
    const fd = openSync(newest.file, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
  return segments;
}

function extent(folder: string, segments: readonly Segment[]): JournalExtent {
  const journal = journalId(folder) ?? "";
  let last = 0;
  const newest = segments.at(-1);
  if (newest !== undefined) {
    last = newest.first - 1;
    for (const { n } of segmentLines(newest)) last = n;
  }
  const first = segments[0]?.first ?? last + 1;
  return { journal, first: Math.min(first, last + 1), last };
}

/** Cuts a half line off the end; returns the number of the last whole line and the highest number ever given out. */
function recoverEnd(folder: string): { last: number; high: number } {
  const newest = segmentsIn(folder).at(-1);
  let last = 0;
  let torn = false;
  if (newest !== undefined) {
    last = newest.first - 1;
    for (const { n } of segmentLines(newest)) last = n;
    const fd = openSync(newest.file, "r+");
    try {
      const size = fstatSync(fd).size;
      const whole = wholeBytes(fd, size);
      torn = whole < size;
      if (torn) {
        ftruncateSync(fd, whole);
        fsyncSync(fd);
      }
    } finally {
      closeSync(fd);
    }
  }
  // The half line had the next number, whether or not it was noted.
  return { last, high: Math.max(readHigh(folder), torn ? last + 1 : last) };
}

function wholeBytes(fd: number, size: number): number {
  const chunk = Buffer.alloc(maxLineBytes);
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - chunk.length);
    const read = readSync(fd, chunk, 0, end - from, from);
    const newline = chunk.subarray(0, read).lastIndexOf(0x0a);
    if (newline >= 0) return from + newline + 1;
    end = from;
  }
  return 0;
}

function appendLine(folder: string, text: string, n: number, limits: JournalLimits): void {
  const bytes = Buffer.from(`${text}\n`);
  if (bytes.length > maxLineBytes) throw new Error(`A line of ${bytes.length} bytes is over the limit.`);
  withRoom(folder, () => {
    const newest = segmentsIn(folder).at(-1);
    const full = newest === undefined || statSync(newest.file).size >= limits.segmentBytes;
    const file = full ? join(folder, `${String(n).padStart(15, "0")}.jsonl`) : newest.file;
    const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      const { size } = fstatSync(fd);
      try {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, size + done);
        fsyncSync(fd);
      } catch (error) {
        ftruncateSync(fd, size);
        throw error;
      }
    } finally {
      closeSync(fd);
    }
    if (full) syncFolder(folder);
  });
  withRoom(folder, () => writeHigh(folder, n));
}

const roomBytes = 64 * 1024;

/** Does `work`; on a full disk gives back a piece of the reserve, or the oldest lines, and does it again. */
function withRoom(folder: string, work: () => void): void {
  for (;;)
    try {
      work();
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== "ENOSPC" && code !== "EDQUOT") || !makeRoom(folder)) throw error;
    }
}

/** Returns whether there was anything to give back. */
function makeRoom(folder: string): boolean {
  const size = reserveSize(folder) ?? 0;
  if (size > 0) {
    truncateSync(join(folder, "reserve"), Math.max(0, size - roomBytes));
    return true;
  }
  const [oldest, next] = segmentsIn(folder);
  if (oldest === undefined || next === undefined) return false;
  rmSync(oldest.file);
  return true;
}

/** Fills the reserve where the disk has plenty. Returns whether something of it had been used before. */
function keepReserve(folder: string, { reserveBytes }: JournalLimits): boolean {
  const size = reserveSize(folder);
  if (size === reserveBytes) return false;
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < reserveBytes * 8) return false;
  writeDurably(join(folder, "reserve"), Buffer.alloc(reserveBytes));
  return size !== undefined;
}

function reserveSize(folder: string): number | undefined {
  return statSync(join(folder, "reserve"), { throwIfNoEntry: false })?.size;
}

function readHigh(folder: string): number {
  try {
    const high = Number(readFileSync(join(folder, "high"), "utf8"));
    return Number.isSafeInteger(high) ? high : 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}

/** Same length every time and written in place: no moment at which the file is empty. */
function writeHigh(folder: string, n: number): void {
  const fd = openSync(join(folder, "high"), constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    writeSync(fd, String(n).padStart(16, " "), 0);
  } finally {
    closeSync(fd);
  }
}

function prune(folder: string, limits: JournalLimits, now: Date): void {
  const segments = segmentsIn(folder).map((segment) => ({ ...segment, stat: statSync(segment.file) }));
  let total = segments.reduce((sum, { stat }) => sum + stat.size, 0);
  for (const { file, stat } of segments.slice(0, -1)) {
    if (total <= limits.totalBytes && now.getTime() - stat.mtimeMs <= limits.maxAgeMs) return;
    rmSync(file);
    total -= stat.size;
  }
}

function writeDurably(file: string, content: string | Uint8Array): void {
  const fd = openSync(file, "w", 0o600);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
