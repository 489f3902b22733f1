import { randomInt } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  appendToJournal,
  type JournalLimits,
  journalExtent,
  journalLimits,
  type LineDraft,
  readJournal,
} from "../../cloud-init/agent/journal.ts";
import { decodeLine } from "../../cloud-init/agent/line.ts";
import { readSamples } from "../../cloud-init/agent/samples.ts";
import { execute } from "../infra/providers/local/process/fixture.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gradientlab-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const draft = (mark: string): LineDraft => ({
  boot: "4d1c1d67-0000-4000-8000-000000000000",
  at: "2026-11-21T10:00:00.000Z",
  mono_ms: 5,
  every_s: 10,
  kind: "event",
  event: { name: "mark", mark },
});

/** Small enough for many segments in a test. */
const small: JournalLimits = { ...journalLimits, segmentBytes: 1000 };

const segments = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .sort();

/** Reads on from where the reader stands, with the checks of the reader's side. */
async function readOn(after: { journal: string; n: number } | null, maxBytes = 1_000_000) {
  const part = readJournal(folder, after ?? "start", maxBytes);
  if (part === undefined) throw new Error("no journal");
  const { journal, first, last, lines, more } = part;
  const answer = [
    JSON.stringify({ journal, first, last, now: new Date(0).toISOString() }),
    ...lines,
    JSON.stringify({ end: true, count: lines.length, more }),
  ];
  return readSamples([Buffer.from(`${answer.join("\n")}\n`)], { after });
}

describe("a journal", () => {
  it("begins with the event of its creation and counts from 1 without a hole", async () => {
    expect(journalExtent(folder)).toBeUndefined();
    expect(readJournal(folder, "start", 100)).toBeUndefined();
    const written = ["a", "b", "c"].map((mark) => appendToJournal(folder, draft(mark)));
    expect(written.map(({ n }) => n)).toEqual([2, 3, 4]);
    expect(journalExtent(folder)).toEqual({ journal: written[0]?.journal, first: 1, last: 4 });
    const { items } = await readOn(null);
    expect(items.map((item) => item.kind === "line" && (item.line.event?.mark ?? item.line.event?.name))).toEqual([
      "journal-created",
      "a",
      "b",
      "c",
    ]);
  });

  it("is read from a cursor in small parts without skipping or repeating a line", async () => {
    for (let i = 0; i < 60; i++) appendToJournal(folder, draft(`mark ${i}`), small);
    expect(segments().length).toBeGreaterThan(5);
    const seen: number[] = [];
    let after: { journal: string; n: number } | null = null;
    for (let more = true; more; ) {
      const { items, header, trailer } = await readOn(after, 1 + randomInt(2000));
      seen.push(...items.map(({ n }) => n));
      after = { journal: header.journal, n: seen.at(-1) ?? 0 };
      more = trailer.more;
    }
    expect(seen).toEqual(Array.from({ length: 61 }, (_, i) => i + 1));
    expect((await readOn(after)).items).toEqual([]);
    const elsewhere = await readOn({ journal: "0f0e0d0c-0000-4000-8000-000000000000", n: 50 });
    expect(elsewhere.items[0]?.n).toBe(1);
  });

  it("keeps what the limits say and tells readers where it begins now", async () => {
    const limits = { ...small, totalBytes: 4000 };
    for (let i = 0; i < 60; i++) appendToJournal(folder, draft(`mark ${i}`), limits);
    const first = journalExtent(folder)?.first ?? 0;
    expect(first).toBeGreaterThan(30);
    const { items } = await readOn({ journal: journalExtent(folder)?.journal ?? "", n: 5 });
    expect(items[0]?.n).toBe(first);
    expect(items.at(-1)?.n).toBe(61);

    const old = new Date(Date.now() - 15 * 24 * 3600 * 1000);
    for (const name of segments().slice(0, -1)) utimesSync(join(folder, name), old, old);
    appendToJournal(folder, draft("later"), small);
    expect(segments()).toHaveLength(1);
  });

  it("leaves no half line and uses up no number when a line cannot be written", () => {
    appendToJournal(folder, draft("a"));
    const size = statSync(join(folder, segments()[0] ?? "")).size;
    expect(() => appendToJournal(folder, draft("x".repeat(70_000)))).toThrow(/over the limit/);
    expect(statSync(join(folder, segments()[0] ?? "")).size).toBe(size);
    expect(appendToJournal(folder, draft("b")).n).toBe(3);
  });

  it("passes a damaged line on as it stands, with its number, and reads on behind it", async () => {
    for (const mark of ["a", "b", "c"]) appendToJournal(folder, draft(mark));
    const file = join(folder, segments()[0] ?? "");
    writeFileSync(file, readFileSync(file, "utf8").replace('"n":3,', '"n":9,'));
    const { items } = await readOn(null);
    expect(items.map(({ kind, n }) => [kind, n])).toEqual([
      ["line", 1],
      ["line", 2],
      ["damaged", 3],
      ["line", 4],
    ]);
    expect(appendToJournal(folder, draft("d")).n).toBe(5);
  });

  it("keeps its id when the file that names it is lost", () => {
    const { journal } = appendToJournal(folder, draft("a"));
    rmSync(join(folder, "journal.json"));
    expect(appendToJournal(folder, draft("b"))).toEqual({ journal, n: 3 });
  });
});

/** Runs a program of this folder with `folder` as a disk of `size` of its own, and returns what it printed as JSON. */
async function onSmallDisk(size: string, program: URL, ...words: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await execute("unshare", [
    ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
    ...["--mount", "sh", "-c", 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"', size, folder],
    ...[process.execPath, fileURLToPath(program), folder, ...words],
  ]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

it("a full disk costs the lines that do not fit and nothing else", async () => {
  const seen = (await onSmallDisk("256k", new URL("./full-disk.ts", import.meta.url))) as Record<string, number> & {
    codes: string[];
    written: number[];
  };
  expect(seen.codes).toEqual(["ENOSPC"]);
  expect(seen.written.length).toBeGreaterThan(0);
  expect(seen.last).toBe(seen.written.at(-1));
  expect(seen.held).toBe(seen.last);
  expect(seen.next).toBe((seen.last ?? 0) + 1);
  expect(seen.then).toBe(seen.next);
});

it("a disk that is full to the last block stops no line: the reserve goes first, then the oldest lines", async () => {
  const seen = (await onSmallDisk("4m", new URL("./reserve.ts", import.meta.url), "300")) as Record<string, number> & {
    numbers: number[];
    then: string[];
  };
  expect(seen.numbers).toHaveLength(300);
  // Every number once, in order; one went to the event that tells of the full disk.
  expect(seen.numbers.at(-1)).toBe((seen.numbers[0] ?? 0) + 300);
  expect(seen.first).toBeGreaterThan(1);
  expect(seen.held).toBe((seen.last ?? 0) - (seen.first ?? 0) + 1);
  expect(seen.held).toBeGreaterThan(100);
  expect(seen.then.at(-1)).toBe("disk-freed");
});

it("what a sample remembers is kept on a full disk too, and leaves nothing half written there", async () => {
  expect(await onSmallDisk("256k", new URL("./full-memory.ts", import.meta.url))).toEqual({
    full: { count: 2 },
    same: { count: 2 },
    none: null,
    torn: null,
    files: ["ballast", "kept.json"],
  });
});

describe("a journal whose end was cut off", () => {
  const count = Number(process.env.GRADIENTLAB_TORTURE ?? 20);

  it(`loses no whole line, gives no number twice and tells what is lost (${count} cuts at random bytes)`, async () => {
    let journal = "";
    const handedOut = new Map<number, string>();
    for (let round = 0; round < count; round++) {
      for (let i = 0; i <= randomInt(6); i++) {
        const mark = `${round}.${i}`;
        const written = appendToJournal(folder, draft(mark), small);
        expect(handedOut.has(written.n)).toBe(false);
        handedOut.set(written.n, mark);
        if (journal !== "") expect(written.journal).toBe(journal);
        journal = written.journal;
      }
      const file = join(folder, segments().at(-1) ?? "");
      const text = readFileSync(file);
      const cut = randomInt(text.length + 1);
      const garbage = randomInt(3) === 0 ? Buffer.alloc(randomInt(300)) : Buffer.alloc(0);
      truncateSync(file, cut);
      appendFileSync(file, garbage);
      const whole = text.subarray(0, cut).toString("utf8").split("\n").slice(0, -1);

      const before = await readOn(null);
      const kept = before.items.map(({ text: line }) => line);
      expect(kept.slice(kept.length - whole.length)).toEqual(whole);

      const next = appendToJournal(folder, draft(`after ${round}`), small);
      expect(handedOut.has(next.n)).toBe(false);
      handedOut.set(next.n, `after ${round}`);
      const { items } = await readOn(null);
      expect(items.slice(0, kept.length).map(({ text: line }) => line)).toEqual(kept);
      for (const item of items) {
        expect(item.kind).toBe("line");
        if (item.kind !== "line" || item.line.event?.name !== "mark") continue;
        expect(item.line.event.mark).toBe(handedOut.get(item.n));
      }
    }
  });

  it("tells the numbers that were lost in one event, which a reader who had them accepts", async () => {
    for (const mark of ["a", "b", "c", "d"]) appendToJournal(folder, draft(mark));
    const file = join(folder, segments()[0] ?? "");
    const lines = readFileSync(file, "utf8").split("\n");
    truncateSync(file, lines.slice(0, 2).join("\n").length + 20);
    const { journal, n } = appendToJournal(folder, draft("e"));
    expect(n).toBe(7);
    const { items } = await readOn({ journal, n: 5 });
    expect(items.map((item) => item.kind === "line" && item.line.event)).toEqual([
      { name: "journal-recovered", lost_from: 3, lost_to: 5 },
      { name: "mark", mark: "e" },
    ]);
    expect((await readOn({ journal, n: 2 })).items.map((item) => item.n)).toEqual([6, 7]);
    expect(decodeLine(items[0]?.text ?? "")).toHaveProperty("line");
  });
});
