import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../cloud-init/agent/line.ts";
import { readSamples, samplesReader } from "../../cloud-init/agent/samples.ts";

const journal = "11111111-2222-4333-8444-555555555555";

const line = (n: number, event: JournalLine["event"] = { name: "mark", text: "ä€𝄞" }): string =>
  encodeLine({
    v: 1,
    j: journal,
    n,
    boot: "b",
    at: "2026-11-21T10:00:00.000Z",
    mono_ms: 1,
    every_s: 10,
    kind: "event",
    ...(event === undefined ? {} : { event }),
  });

const header = (first: number, last: number): string =>
  JSON.stringify({ journal, first, last, now: "2026-11-21T10:00:00.000Z" });

const answer = (lines: readonly string[], { first = 1, last = 99, count = lines.length, more = false } = {}): Buffer =>
  Buffer.from(`${[header(first, last), ...lines, JSON.stringify({ end: true, count, more })].join("\n")}\n`);

const read = (bytes: Uint8Array, after: { journal: string; n: number } | null = null) =>
  readSamples([bytes], { after });

describe("an answer of samples", () => {
  it("is read the same however it is cut into chunks, even inside a letter", () => {
    const bytes = answer([1, 2, 3].map((n) => line(n)));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
        const reader = samplesReader({ after: null });
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const items = edges.slice(1).flatMap((to, i) => reader.push(bytes.subarray(edges[i], to)));
        expect(items.map(({ text }) => text)).toEqual([1, 2, 3].map((n) => line(n)));
        expect(reader.end().trailer).toEqual({ end: true, count: 3, more: false });
      }),
    );
  });

  it("is refused when it breaks off anywhere before its trailer is whole", async () => {
    const bytes = answer([1, 2, 3].map((n) => line(n)));
    for (let length = 0; length < bytes.length; length++)
      await expect(read(bytes.subarray(0, length))).rejects.toMatchObject({
        fault: expect.stringMatching(/^(no-header|no-trailer)$/),
      });
  });

  it.each([
    ["a hole", answer([line(1), line(3)]), "order"],
    ["a repeated line", answer([line(1), line(1)]), "order"],
    ["lines before the cursor", answer([line(5)]), "order"],
    ["a wrong count", answer([line(1)], { count: 2 }), "wrong-count"],
    ["a broken header", Buffer.from("hello\n"), "bad-header"],
    ["a header without a clock", Buffer.from(`${JSON.stringify({ journal, first: 1, last: 2 })}\n`), "bad-header"],
    ["words behind its trailer", Buffer.concat([answer([line(1)]), Buffer.from("more\n")]), "after-trailer"],
    ["a broken trailer", Buffer.from(`${header(1, 1)}\n{"end":true}\n`), "bad-trailer"],
    ["an endless line", Buffer.from(`${header(1, 1)}\n${"x".repeat(300_000)}`), "line-too-long"],
    ["lines of another journal", answer([line(1).replace(journal, journal), encodeOther()]), "other-journal"],
  ])("is refused with %s", async (_what, bytes, fault) => {
    const after = fault === "order" && bytes.includes('"n":5') ? { journal, n: 5 } : null;
    await expect(read(bytes, after)).rejects.toMatchObject({ fault });
  });

  it("goes on behind the cursor, or where the node's oldest line is", async () => {
    expect((await read(answer([line(6), line(7)]), { journal, n: 5 })).items.map(({ n }) => n)).toEqual([6, 7]);
    expect((await read(answer([line(9)], { first: 9 }), { journal, n: 5 })).items.map(({ n }) => n)).toEqual([9]);
    expect((await read(answer([line(1)]), { journal: "other", n: 5 })).items.map(({ n }) => n)).toEqual([1]);
  });

  it("gives a damaged line as evidence with its fault and number", async () => {
    const broken = line(2).replace("mark", "mork");
    const { items } = await read(answer([line(1), broken, "not json", line(4)]));
    expect(items.slice(1, 3)).toEqual([
      { kind: "damaged", n: 2, fault: "bad-crc", text: broken },
      { kind: "damaged", n: 3, fault: "not-json", text: "not json" },
    ]);
  });

  it("takes a hole only where the journal says what is lost in it", async () => {
    const told = (from: number, to: number) =>
      line(to + 1, { name: "journal-recovered", lost_from: from, lost_to: to });
    expect((await read(answer([line(1), told(2, 4)]))).items.map(({ n }) => n)).toEqual([1, 5]);
    await expect(read(answer([line(1), told(3, 4)]))).rejects.toMatchObject({ fault: "order" });
  });
});

function encodeOther(): string {
  return encodeLine({
    v: 1,
    j: "99999999-2222-4333-8444-555555555555",
    n: 2,
    boot: "b",
    at: "2026-11-21T10:00:00.000Z",
    mono_ms: 1,
    every_s: 10,
    kind: "event",
  });
}
