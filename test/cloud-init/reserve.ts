import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { appendToJournal, journalLimits, type LineDraft, readJournal } from "../../cloud-init/agent/journal.ts";

/** Fills the disk that the folder lies on to the last block, writes `count` lines, frees it; prints what came of it. */
const folder = process.argv[2] ?? "";
const count = Number(process.argv[3]);
const ballast = join(folder, "ballast");
const journal = join(folder, "journal");
const limits = { ...journalLimits, segmentBytes: 20_000, reserveBytes: 128 * 1024 };
const draft = (text: string): LineDraft => ({
  boot: "b",
  at: "2026-11-21T10:00:00.000Z",
  mono_ms: 1,
  every_s: 10,
  kind: "event",
  event: { name: "mark", text: text.repeat(700) },
});
appendToJournal(journal, draft("a"), limits);
try {
  writeFileSync(ballast, Buffer.alloc(64 * 1024 * 1024));
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
}
const numbers: number[] = [];
for (let i = 0; i < count; i++) numbers.push(appendToJournal(journal, draft("b"), limits).n);
const full = readJournal(journal, "start", 10_000_000);
rmSync(ballast);
appendToJournal(journal, draft("c"), limits);
const after = readJournal(journal, "start", 10_000_000);
const events = (lines: readonly string[] = []): string[] =>
  lines.map((line) => (JSON.parse(line) as { event: { name: string } }).event.name).filter((name) => name !== "mark");
process.stdout.write(
  JSON.stringify({
    numbers,
    first: full?.first,
    held: full?.lines.length,
    last: full?.last,
    then: events(after?.lines),
  }),
);
