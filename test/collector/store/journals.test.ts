import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import { readSamples } from "../../../cloud-init/agent/samples.ts";
import { plainLayers } from "../../../collector/inventory/workloads.ts";
import type { LineRules } from "../../../collector/states/lines.ts";
import { changesOfSilence } from "../../../collector/states/lines.ts";
import { applyConclusion } from "../../../collector/store/absence.ts";
import { alertPicture } from "../../../collector/store/alerts.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { journalCursor, type StoredPart, storeJournalPart } from "../../../collector/store/journals.ts";
import { gapRows, nodeIdOf, sampleRows, stateRows } from "../../../collector/store/views.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const rules: LineRules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const base = Date.UTC(2026, 0, 1);
const at = (second: number): string => new Date(base + second * 1000).toISOString();
const now = new Date(base + 3_600_000);

let database: Database;
let nodeId = 0;
const machine = "machine-a";

beforeEach(async () => {
  ({ database } = await server.fresh());
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", machine, "/nowhere")], new Date(at(0))), now);
  nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
});

interface Journal {
  readonly id: string;
  readonly lines: string[];
}
const journal = (): Journal => ({ id: randomUUID(), lines: [] });

function write(target: Journal, n: number, second: number, rest: Record<string, unknown> = {}): void {
  const line = { v: 1, j: target.id, n, boot: "b", at: at(second), mono_ms: 1, kind: "sample", every_s: 10, ...rest };
  target.lines.push(encodeLine(line as JournalLine));
}

/** Stores what `samples` would answer: `lines` of the journal whose oldest line is `first`. */
async function store(
  target: Journal,
  first: number,
  lines: readonly string[],
  machineId = machine,
): Promise<StoredPart> {
  const cursor = await journalCursor(database, nodeId);
  const last = first + target.lines.length - 1;
  const header = JSON.stringify({ journal: target.id, first, last, now: at(3600) });
  const trailer = JSON.stringify({ end: true, count: lines.length, more: false });
  const text = `${[header, ...lines, trailer].join("\n")}\n`;
  const answer = await readSamples([Buffer.from(text)], { after: cursor });
  return storeJournalPart(database, { nodeId, machineId, header: answer.header, items: answer.items }, rules, now);
}

const numbers = async (): Promise<number[]> =>
  (await sampleRows(database, { nodeId, order: "asc", limit: 1000 })).map(({ n }) => Number(n));
const gaps = async () => (await gapRows(database, { nodeId, limit: 100 })).toReversed();
const machineStates = async (): Promise<string[]> =>
  (await stateRows(database, { nodeId, layer: "machine", limit: 100 }))
    .toReversed()
    .map(({ value, from_at, to_at }) => `${value} ${seconds(from_at)}-${to_at === null ? "" : seconds(to_at)}`);
const seconds = (instant: Date): number => (instant.getTime() - base) / 1000;

describe("storing a part of a journal", () => {
  it("stores lines once, however often they are given, and moves the cursor with them", async () => {
    const lines = journal();
    for (const n of [1, 2, 3]) write(lines, n, n * 10);
    expect(await store(lines, 1, lines.lines)).toMatchObject({ stored: 3, cursor: { journal: lines.id, n: 3 } });
    const again = await readSamples(
      [
        Buffer.from(
          `${[JSON.stringify({ journal: lines.id, first: 1, last: 3, now: at(3600) }), ...lines.lines, JSON.stringify({ end: true, count: 3, more: false })].join("\n")}\n`,
        ),
      ],
      { after: null },
    );
    const part = { nodeId, machineId: machine, header: again.header, items: again.items };
    const results = await Promise.all([1, 2, 3].map(() => storeJournalPart(database, part, rules, now)));
    expect(results.map(({ stored }) => stored)).toEqual([0, 0, 0]);
    expect(await numbers()).toEqual([1, 2, 3]);
    expect(await gaps()).toEqual([]);
  });

  it("keeps fields it does not know, and numbers with every digit", async () => {
    const lines = journal();
    write(lines, 1, 1, { novel: { deep: "kept" } });
    const odd = lines.lines[0]?.replace('"kept"', '"k\\u0000pt"') ?? "";
    const open = odd.slice(0, odd.lastIndexOf(',"crc"'));
    const value = JSON.parse(`${open}}`) as JournalLine;
    await store(lines, 1, [encodeLine(value)]);
    const [row] = await sampleRows(database, { nodeId, order: "asc", limit: 1 });
    expect(JSON.parse(row?.line ?? "")).toMatchObject({ novel: { deep: "k\0pt" } });
  });

  it("names lines that were rotated away before they were read", async () => {
    const lines = journal();
    for (const n of [1, 2]) write(lines, n, n * 10);
    await store(lines, 1, lines.lines);
    const later = { id: lines.id, lines: [] as string[] };
    for (const n of [7, 8]) write(later, n, n * 10);
    await store(later, 7, later.lines);
    expect(await numbers()).toEqual([1, 2, 7, 8]);
    const [rotated] = (await gaps()).filter(({ kind }) => kind === "rotated");
    expect(rotated).toMatchObject({ from_at: new Date(at(20)), to_at: new Date(at(70)) });
    expect(rotated?.reason).toContain("Lines 3 to 6");
  });

  it("names a damaged line and goes on behind it", async () => {
    const lines = journal();
    for (const n of [1, 2, 3]) write(lines, n, n * 10);
    await store(lines, 1, [
      lines.lines[0] ?? "",
      (lines.lines[1] ?? "").replace("sample", "simple"),
      lines.lines[2] ?? "",
    ]);
    expect(await numbers()).toEqual([1, 3]);
    expect((await gaps()).map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
      `damaged: Line 2 of journal ${lines.id} is damaged: bad-crc.`,
    ]);
    expect(await journalCursor(database, nodeId)).toEqual({ journal: lines.id, n: 3 });
  });

  it("names lines that a crash of the node lost", async () => {
    const lines = journal();
    write(lines, 1, 10);
    write(lines, 4, 40, { kind: "event", event: { name: "journal-recovered", lost_from: 2, lost_to: 3 } });
    await store(lines, 1, lines.lines);
    expect(
      (await gaps()).map(({ kind, from_at, to_at }) => [kind, seconds(from_at), to_at && seconds(to_at)]),
    ).toContainEqual(["lost", 10, 40]);
  });

  it("notes that a journal was replaced on the same machine, and reads the new one from its beginning", async () => {
    const old = journal();
    write(old, 1, 10);
    await store(old, 1, old.lines);
    const fresh = journal();
    write(fresh, 1, 20);
    await store(fresh, 1, fresh.lines);
    expect(await database.selectFrom("node_event").select(["name", "at"]).execute()).toEqual([
      { name: "journal replaced", at: new Date(at(20)) },
    ]);
    expect(await journalCursor(database, nodeId)).toEqual({ journal: fresh.id, n: 1 });
    expect(await numbers()).toEqual([1, 1]);
  });

  it("notes the events that alerts look at, once, with the instant at which it learnt of them", async () => {
    const lines = journal();
    write(lines, 1, 10, { kind: "event", event: { name: "host-key-changed" } });
    write(lines, 2, 20, { kind: "event", event: { name: "boot" } });
    write(lines, 3, 30, { kind: "event", event: { name: "logins-failed", count: 3 } });
    // The first id that a network gives a node is no change; another one is, whatever the node remembers.
    write(lines, 4, 40, { kind: "event", event: { name: "network-node-changed", from: null, to: "first" } });
    write(lines, 5, 50, { app: { state: "up", network_node_id: "first" } });
    await store(lines, 1, lines.lines);
    write(lines, 6, 60, { kind: "event", event: { name: "network-node-changed", from: null, to: "other" } });
    await store(lines, 6, lines.lines.slice(5));
    const picture = async (when: Date) => (await alertPicture(database, async () => plainLayers, when)).events;
    expect(await picture(now)).toEqual([
      { node: "home/0", name: "host-key-changed", count: 1, first: new Date(at(10)), last: new Date(at(10)) },
      { node: "home/0", name: "logins-failed", count: 1, first: new Date(at(30)), last: new Date(at(30)) },
      { node: "home/0", name: "network-node-changed", count: 1, first: new Date(at(60)), last: new Date(at(60)) },
    ]);
    expect(await picture(new Date(now.getTime() + 86_400_000))).toEqual([]);
  });

  it("opens another journal for another machine of the node without calling the old one replaced", async () => {
    const old = journal();
    write(old, 1, 10);
    await store(old, 1, old.lines);
    await acceptInventory(
      database,
      inventoryFile([nodeRecord("home/0", "machine-b", "/nowhere")], new Date(at(15))),
      now,
    );
    expect(await journalCursor(database, nodeId)).toBeNull();
    const fresh = journal();
    write(fresh, 1, 20);
    await store(fresh, 1, fresh.lines, "machine-b");
    expect(await database.selectFrom("node_event").select("name").execute()).toEqual([]);
    expect(await database.selectFrom("incarnation").select(["machine_id", "to_at"]).orderBy("id").execute()).toEqual([
      { machine_id: machine, to_at: new Date(at(15)) },
      { machine_id: "machine-b", to_at: null },
    ]);
  });

  it("refuses a journal that belongs to another node", async () => {
    const lines = journal();
    write(lines, 1, 10);
    await store(lines, 1, lines.lines);
    const records = [nodeRecord("home/0", machine, "/nowhere"), nodeRecord("home/1", "copy", "/nowhere")];
    await acceptInventory(database, inventoryFile(records, new Date(at(15))), now);
    nodeId = (await nodeIdOf(database, "home/1")) ?? 0;
    await expect(store(lines, 1, lines.lines, "copy")).rejects.toMatchObject({ code: "journal-of-another-node" });
  });

  it("takes back the silence it had concluded when the lines come late, and tells the real gap apart", async () => {
    const lines = journal();
    write(lines, 1, 0);
    await store(lines, 1, lines.lines);
    await applyConclusion(database, nodeId, at(0), changesOfSilence(new Date(at(30)), at(0), "no sample comes"), now);
    expect(await machineStates()).toEqual(["up 0-30", "unknown 30-"]);
    const late = { id: lines.id, lines: [] as string[] };
    for (const n of [2, 3, 4]) write(late, n, (n - 1) * 10);
    write(late, 5, 100);
    await store(late, 1, late.lines);
    expect(await machineStates()).toEqual(["up 0-60", "unknown 60-100", "up 100-"]);
    expect((await gaps()).map(({ kind, from_at, to_at }) => [kind, seconds(from_at), to_at && seconds(to_at)])).toEqual(
      [["no-samples", 30, 100]],
    );
  });

  it("does not conclude from silence when a line came meanwhile", async () => {
    const lines = journal();
    for (const n of [1, 2]) write(lines, n, n * 10);
    await store(lines, 1, lines.lines);
    const changes = changesOfSilence(new Date(at(40)), at(10), "no sample comes");
    expect(await applyConclusion(database, nodeId, at(10), changes, now)).toBe(false);
    expect(await machineStates()).toEqual(["up 10-"]);
  });

  it("keeps the order of what really happened: browser down, then up again, then the node stopped", async () => {
    const lines = journal();
    write(lines, 1, 0, { runtime: { state: "up", restarts: 0 } });
    write(lines, 2, 3, {
      kind: "event",
      event: { name: "unit-exited", unit: "browser", code: null, signal: "SIGKILL" },
    });
    write(lines, 3, 5, { kind: "event", event: { name: "unit-started", unit: "browser" } });
    write(lines, 4, 10, { runtime: { state: "up", restarts: 1 }, app: { state: "up", network_node_id: "n-1" } });
    write(lines, 5, 12, { kind: "event", event: { name: "stopping" } });
    await store(lines, 1, lines.lines);
    const rows = (await stateRows(database, { nodeId, limit: 100 })).toReversed();
    expect(rows.map(({ layer, value, from_at }) => `${seconds(from_at)} ${layer} ${value}`)).toEqual([
      "0 machine up",
      "0 runtime up",
      "3 runtime down",
      "3 app down",
      "5 runtime up",
      "10 app up",
      "12 machine down",
      "12 runtime down",
      "12 app down",
    ]);
    expect(await database.selectFrom("network_node").select(["network_node_id", "from_at"]).execute()).toEqual([
      { network_node_id: "n-1", from_at: new Date(at(10)) },
    ]);
  });
});
