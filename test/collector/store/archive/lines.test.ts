import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../../cloud-init/agent/line.ts";
import { columnsOf, lineColumns, lineIn, rowOf } from "../../../../collector/store/archive/lines.ts";
import { createParquet, openParquet } from "../../../../collector/store/archive/parquet.ts";
import type { KnownLine } from "../../../../collector/store/packing.ts";
import { nodeLife, randomFrom } from "../../../harness/node-life.ts";

const runs = Number(process.env.ARCHIVED_LINES ?? 200);
const runsMs = 300_000 + runs * 200;
const names = lineColumns.map(({ name }) => name);
const journal = randomUUID();
const owner = { node: "home/0", group: "home", slot: 0, journal };
let folder = "";
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "archive-lines-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Returns the lines as they come back from a Parquet file of `size` rows a row group. */
async function throughFile(lines: readonly KnownLine[], size = 1000): Promise<KnownLine[]> {
  const path = join(folder, `${++files}.parquet`);
  const file = await createParquet(path, lineColumns, {});
  for (let from = 0; from < lines.length; from += size)
    await file.write(columnsOf(lines.slice(from, from + size).map((line) => rowOf(owner, line))));
  await file.finish();
  await file.close();
  const reader = await openParquet(path);
  const back: KnownLine[] = [];
  for (const [group, start] of reader.starts.entries()) {
    const columns = await reader.rowGroup(group, names);
    const end = reader.starts[group + 1] ?? reader.rows;
    for (let place = 0; place < end - start; place++) back.push(lineIn(columns, place));
  }
  return back;
}

const known = (line: JournalLine, text: string): KnownLine => ({
  n: line.n,
  at: Date.parse(line.at),
  boot: line.boot,
  monoMs: line.mono_ms,
  kind: line.kind,
  everyS: line.every_s,
  line: text,
});

/** Returns lines of a node's life. */
function lived(count: number): KnownLine[] {
  const life = nodeLife({ journal, from: Date.UTC(2027, 1, 3), everySeconds: 300, random: randomFrom(9) });
  return Array.from({ length: count }, () => {
    const { line, text } = life.next().value as { line: JournalLine; text: string };
    return known(line, text);
  });
}

const cell = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 0, Number.POSITIVE_INFINITY, 2 ** 53, 0.1, -1.5e-9),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.constantFrom("2027-01-01T00:00:00Z", "\ufeffbom", "\u0000", "\ud800", "a\nb"),
  fc.array(fc.integer(), { maxLength: 2 }),
);
const part = (names: readonly string[]) =>
  fc.oneof(fc.dictionary(fc.constantFrom(...names, "x", "__proto__"), cell, { maxKeys: 6 }), cell);
const told = fc.record(
  {
    machine: part(["load1", "cpus", "mem_total_bytes", "steal_ms"]),
    runtime: part(["state", "pid", "since", "pss_bytes"]),
    app: part(["state", "looked", "heartbeat_age_s", "network_node_id"]),
    net: part(["dns_ms", "udp_ms"]),
    event: part(["name", "unit"]),
    errors: cell,
    form: cell,
    line: cell,
    j: fc.oneof(fc.constant(journal), fc.constant(journal.toUpperCase()), cell),
    at: fc.oneof(fc.constant("2027-01-01T00:00:00.000Z"), fc.constant("2027-01-01T01:00:00.000+01:00"), cell),
    mono_ms: cell,
    every_s: cell,
    n: cell,
  },
  { requiredKeys: [] },
);
const hostileText = fc.oneof(
  told.map((members) => encodeLine(members as unknown as JournalLine)),
  told.map((members) => encodeLine(members as unknown as JournalLine).replace(",", ", ")),
  told.map((members) => JSON.stringify(members)),
  told.map((members) => `${JSON.stringify(members).slice(0, -1)},"crc":"00000000"}`),
  fc.constantFrom('{"a":1,"a":2,"crc":"x"}', '{"machine":{"cpus":1.0}}', "", "null", "[]", "{", '{"1":0,"0":1}'),
  fc.string({ unit: "grapheme" }),
);
const hostile: fc.Arbitrary<KnownLine> = fc.record({
  n: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  at: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  boot: fc.string({ unit: "grapheme" }),
  monoMs: fc.double({ noNaN: true }),
  kind: fc.constantFrom("sample", "event"),
  everyS: fc.oneof(fc.constant(300), fc.constant(-0), fc.double({ noNaN: true })),
  // What the database holds is UTF-8.
  line: hostileText.map((text) => Buffer.from(text).toString()),
});

describe("lines in an archive", () => {
  it("come back byte for byte, and usual ones take no more than their measures", async () => {
    const lines = lived(2500);
    expect(await throughFile(lines, 1000)).toEqual(lines);
    const rows = lines.map((line) => rowOf(owner, line));
    expect(rows.filter(({ line }) => line !== null)).toEqual([]);
    expect(new Set(rows.map(({ form }) => form)).size).toBeLessThan(20);
    const [, second] = rows;
    const { machine, app } = JSON.parse(lines[1]?.line ?? "") as JournalLine;
    expect(second).toMatchObject({ machine_load1: machine?.load1, machine_disk_free_bytes: machine?.disk_free_bytes });
    expect(second).toMatchObject({ node: "home/0", node_group: "home", slot: 0, app_state: app?.state ?? null });
  });

  it("keep a zero apart from a negative one", async () => {
    const [line] = lived(1) as [KnownLine];
    const lines = [0, -0, 0].map((everyS) => ({ ...line, everyS }));
    expect(await throughFile(lines)).toEqual(lines);
  });

  it(
    `come back byte for byte whatever they hold (${runs} times)`,
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 30 }), async (lines) => {
          expect(await throughFile(lines, 7)).toEqual(lines);
        }),
        { numRuns: runs },
      );
    },
    runsMs,
  );
});
