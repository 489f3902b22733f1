import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { costRows } from "../../../collector/store/costs.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import type { PriceLine } from "../../../infra/inventory.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const at = (hour: number): Date => new Date(Date.UTC(2026, 0, 1, hour));
const price = (item: string, microUsdPerMonth: number, checkedOn = "2025-12-01"): PriceLine => ({
  item,
  microUsdPerMonth,
  source: "a price list",
  checkedOn,
});

/** Accepts an inventory of nodes with these prices, written at that hour. */
async function accept(database: Database, hour: number, prices: Readonly<Record<string, readonly PriceLine[]>>) {
  const records = Object.entries(prices).map(([key, lines]) =>
    nodeRecord(key, `m-${key}`, "/n", { price: [...lines] }),
  );
  expect(await acceptInventory(database, inventoryFile(records, at(hour)), at(hour))).toBe("accepted");
}

/** Every row as text, by node and item: node, item, micro-dollars, hours. */
async function story(database: Database): Promise<string[]> {
  const hour = (instant: Date): number => (instant.getTime() - at(0).getTime()) / 3_600_000;
  const rows = await costRows(database, { limit: 100 });
  return rows
    .map(
      ({ key, item, micro_usd_per_month: amount, from_at: from, to_at: to }) =>
        `${key ?? "shared"} ${item} ${amount} ${hour(from)}-${to === null ? "" : hour(to)}`,
    )
    .toSorted();
}

describe("what nodes cost", () => {
  it("is kept from when to when it stood in the inventory, and a price that did not change is one row", async () => {
    const { database } = await server.fresh();
    const disk = price("disk", 2_000_000);
    await accept(database, 1, { "home/0": [price("machine", 0), disk], "home/1": [disk, disk], "home/2": [] });
    await accept(database, 2, { "home/0": [price("machine", 0), disk], "home/1": [disk] });
    await accept(database, 3, { "home/0": [price("machine", 4_500_000), disk] });
    await accept(database, 4, { "home/0": [price("machine", 4_500_000), disk], "home/1": [disk] });
    const expected = [
      "home/0 disk 2000000 1-",
      "home/0 machine 0 1-3",
      "home/0 machine 4500000 3-",
      "home/1 disk 2000000 1-2",
      "home/1 disk 2000000 1-3",
      "home/1 disk 2000000 4-",
    ];
    expect(await story(database)).toEqual(expected);
    expect((await costRows(database, { from: at(2), to: at(3), limit: 100 })).length).toBe(3);
    expect((await costRows(database, { from: at(3), to: at(4), limit: 100 })).length).toBe(2);

    // What a release before this table stored tells the same: the migration goes through every inventory again.
    await sql`delete from cost`.execute(database);
    await sql`do $$ declare version inventory_version; begin
      for version in select * from inventory_version order by id loop
        perform take_costs(version.body, version.written_at);
      end loop; end $$`.execute(database);
    expect(await story(database)).toEqual(expected);
  });

  it("says anew when the same price was looked up again, and holds the largest amount exactly", async () => {
    const { database } = await server.fresh();
    const most = Number.MAX_SAFE_INTEGER;
    await accept(database, 1, { "home/0": [price("machine", most)] });
    await accept(database, 2, { "home/0": [price("machine", most, "2026-01-01")] });
    const rows = await costRows(database, { limit: 10 });
    expect(rows.map(({ micro_usd_per_month: amount, checked_on: on, to_at: to }) => [amount, on, to])).toEqual([
      [String(most), "2026-01-01", null],
      [String(most), "2025-12-01", at(2)],
    ]);
  });
});
