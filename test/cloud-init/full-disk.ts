import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { appendToJournal, type LineDraft, readJournal } from "../../cloud-init/agent/journal.ts";

/** Fills the disk that the folder lies on with lines, frees it, and goes on; prints what came of it as JSON. */
const folder = process.argv[2] ?? "";
const ballast = join(folder, "ballast");
const draft: LineDraft = {
  boot: "b",
  at: "2026-11-21T10:00:00.000Z",
  mono_ms: 1,
  every_s: 10,
  kind: "event",
  event: { name: "mark", text: "x".repeat(700) },
};
const journal = join(folder, "journal");
appendToJournal(journal, draft);
const { bavail, bsize } = statfsSync(folder);
writeFileSync(ballast, Buffer.alloc((bavail - 3) * bsize));
const written: number[] = [];
const codes: string[] = [];
for (let i = 0; i < 40; i++) {
  try {
    written.push(appendToJournal(journal, draft).n);
  } catch (error) {
    codes.push((error as NodeJS.ErrnoException).code ?? String(error));
  }
}
const full = readJournal(journal, "start", 1_000_000);
rmSync(ballast);
const next = appendToJournal(journal, draft).n;
const after = readJournal(journal, "start", 1_000_000);
process.stdout.write(
  JSON.stringify({
    codes: [...new Set(codes)],
    written,
    held: full?.lines.length,
    last: full?.last,
    next,
    then: after?.lines.length,
  }),
);
