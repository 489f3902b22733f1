import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SampleItem } from "../../collector/api/types.ts";
import { InventoryFile } from "../../infra/inventory.ts";
import { type Checkout, copyOfCheckout, processesOf, type RunningStart, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { filesIn, nodeFolder, supervisorOf, type WrittenLine, writtenLines } from "../harness/node-processes.ts";

const group = {
  provider: "local",
  size: "process",
  count: 3,
  workload: "pulse",
  network: null,
  options: { everySeconds: 2 },
};

describe("nodes that come and go, and their journals", () => {
  let checkout: Checkout;
  let start: RunningStart;
  let api: Api;
  /** Every line that was ever seen on a disk, by the key of its node. */
  const written = new Map<string, Map<string, WrittenLine>>();

  const idOf = ({ journal, n, crc }: WrittenLine): string => `${journal}:${n}:${crc}`;
  const storedId = ({ journal, n, line }: SampleItem): string => `${journal}:${n}:${line.crc}`;
  const note = (key: string, lines: readonly WrittenLine[]): void => {
    const known = written.get(key) ?? new Map<string, WrittenLine>();
    for (const line of lines) known.set(idOf(line), line);
    written.set(key, known);
  };
  /** Keeps in mind what stands on the disk now: in the nodes' folders and in the spool. */
  const look = (): void => {
    for (const key of keys()) note(key, writtenLines(nodeFolder(checkout.home, key)));
    const spool = join(checkout.home, "spool");
    for (const file of filesIn(spool)) {
      if (file.endsWith(".jsonl")) note(file.slice(spool.length + 1).replace(/\/[^/]+$/, ""), writtenLines(file));
    }
  };
  const keys = (): string[] =>
    InventoryFile.parse(JSON.parse(readFileSync(join(checkout.home, "inventory.json"), "utf8"))).inventory.nodes.map(
      ({ key }) => key,
    );
  const lives = (): Record<string, unknown> =>
    Object.fromEntries(keys().map((key) => [key, supervisorOf(checkout.home, key)]));
  const machines = async (): Promise<Record<string, string>> =>
    Object.fromEntries((await api.live()).map(({ key, machineId }) => [key, machineId]));
  const pulumi = (args: string): Promise<string> => checkout.sh(`. .gradientlab/env && npx pulumi ${args}`);
  /** Changes a value of the group, has the real engine make it so, and returns which nodes it touched and how. */
  const change = async (path: string, value: string): Promise<string[]> => {
    await pulumi(`config set --path 'gradientlab:fleet.groups.local.${path}' ${value}`);
    const output = await pulumi("up --yes --skip-preview --non-interactive --color never --suppress-progress");
    return [...output.matchAll(/gradientlab:index:ProcessNode (\S+) (created|deleted|updated|replaced)\b/g)]
      .map(([, key, what]) => `${what} ${key}`)
      .toSorted();
  };
  const started = async (): Promise<void> => {
    start = checkout.start("--port", "0");
    api = apiAt(await start.url);
  };
  const untilSampled = (wanted: readonly string[]): Promise<void> =>
    until(
      `samples of ${wanted.join(", ")}`,
      60_000,
      async () => {
        const live = await api.live();
        return live.length === wanted.length && live.every((n) => wanted.includes(n.key) && n.lastSampleAt !== null);
      },
      async () => JSON.stringify(await api.live()),
    );
  /** Waits until the API has every line seen on a disk, and holds that each journal is there whole and once. */
  const expectAllOnce = async (): Promise<void> => {
    look();
    for (const [key, lines] of written) {
      await until(
        `every line of ${key}`,
        30_000,
        async () => {
          const stored = new Set((await api.samples(key)).map(storedId));
          return [...lines.keys()].every((id) => stored.has(id));
        },
        async () => `${lines.size} were written, ${(await api.samples(key)).length} are stored`,
      );
      const stored = await api.samples(key);
      for (const journal of new Set(stored.map((sample) => sample.journal))) {
        const numbers = stored.filter((sample) => sample.journal === journal).map(({ n }) => n);
        expect(numbers, `${key}, journal ${journal}`).toEqual(numbers.map((_, index) => index + 1));
      }
      expect(await api.gaps(key), `gaps of ${key}`).toEqual([]);
    }
  };
  /** Holds that the last lines of a gone node are there: it said that it stops, and that its processes ended. */
  const expectWholeEnd = async (key: string): Promise<void> => {
    const stored = await api.samples(key);
    const last = stored.filter(({ journal }) => journal === stored.at(-1)?.journal);
    const names = last.flatMap(({ line }) => (line.event as { name?: string } | undefined)?.name ?? []);
    expect(names.at(0), key).toBe("journal-created");
    expect(names.slice(-2), key).toEqual(["stopping", "unit-exited"]);
  };

  beforeAll(async () => {
    checkout = await copyOfCheckout({ groups: { local: group }, extra: true });
  });

  afterAll(async () => {
    await start?.interrupt();
    await checkout?.remove();
  });

  it("makes exactly two nodes more for a count of five, the others untouched", async () => {
    await started();
    await untilSampled(["local/0", "local/1", "local/2"]);
    const [before, same] = [lives(), await machines()];
    expect(await change("count", "5")).toEqual(["created local/3", "created local/4"]);
    expect(lives()).toMatchObject(before);
    await untilSampled([0, 1, 2, 3, 4].map((slot) => `local/${slot}`));
    expect(await machines()).toMatchObject(same);
    await expectAllOnce();
  }, 180_000);

  it("moves exactly one slot when one is retired", async () => {
    const { "local/1": _, ...before } = lives();
    look();
    expect(await change("retired[0]", "1")).toEqual(["created local/5", "deleted local/1"]);
    expect(lives()).toMatchObject(before);
    await untilSampled([0, 2, 3, 4, 5].map((slot) => `local/${slot}`));
    await expectAllOnce();
    await expectWholeEnd("local/1");
  }, 120_000);

  it("removes exactly the highest slots for a count of two, with no line lost while the collector runs", async () => {
    const before = lives();
    look();
    expect(await change("count", "2")).toEqual(["deleted local/3", "deleted local/4", "deleted local/5"]);
    const left = { "local/0": before["local/0"], "local/2": before["local/2"] };
    expect(lives()).toEqual(left);
    await untilSampled(["local/0", "local/2"]);
    await until("the spool to be read", 30_000, () => filesIn(join(checkout.home, "spool")).length === 0);
    await expectAllOnce();
    for (const key of ["local/3", "local/4", "local/5"]) await expectWholeEnd(key);
  }, 120_000);

  it("scales up and down while the collector is stopped, and the next start reads all that it missed", async () => {
    await start.interrupt();
    expect(processesOf(checkout.folder).filter((words) => words.includes("collector/main.ts"))).toEqual([]);
    const before = lives();
    expect(await change("count", "3")).toEqual(["created local/3"]);
    expect(lives()).toMatchObject(before);
    await until("samples of a node that no collector knows", 30_000, () => {
      look();
      return [...(written.get("local/3")?.values() ?? [])].filter(({ n }) => n > 4).length > 0;
    });
    expect(await change("count", "1")).toEqual(["deleted local/2", "deleted local/3"]);
    expect(lives()).toEqual({ "local/0": before["local/0"] });
    expect(filesIn(join(checkout.home, "spool"))).toHaveLength(2);
    look();
    await started();
    expect(start.output()).toContain("One node up");
    expect(lives()).toEqual({ "local/0": before["local/0"] });
    await until("the spool to be read", 30_000, () => filesIn(join(checkout.home, "spool")).length === 0);
    await expectAllOnce();
    for (const key of ["local/2", "local/3"]) await expectWholeEnd(key);
    const lived = await api.all<{ machineId: string; to: string | null }>("nodes/local/3/incarnations");
    expect(lived).toHaveLength(2);
    expect(lived.every(({ to }) => to !== null)).toBe(true);
  }, 180_000);

  it("keeps the history of every node that is gone", async () => {
    const nodes = await api.nodes();
    expect(nodes.map(({ key, gone }) => [key, gone])).toEqual([
      ["local/0", false],
      ["local/1", true],
      ["local/2", true],
      ["local/3", true],
      ["local/4", true],
      ["local/5", true],
    ]);
    for (const { key } of nodes) {
      expect((await api.states(key)).filter(({ layer }) => layer === "machine").length, key).toBeGreaterThan(0);
      expect((await api.samples(key)).filter(({ kind }) => kind === "sample").length, key).toBeGreaterThan(0);
    }
  });
});
