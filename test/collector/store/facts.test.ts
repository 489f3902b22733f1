import { sql } from "kysely";
import { beforeEach, describe, expect, it } from "vitest";
import { type ParsedFact, referralMetrics } from "../../../collector/networks/adapter.ts";
import { practice } from "../../../collector/networks/practice/adapter.ts";
import { beginUnread } from "../../../collector/store/absence.ts";
import { type Database, inTransaction } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { knowAccount, storeAnswers, storeFacts } from "../../../collector/store/readings.ts";
import { factRows, nodeIdOf, nodeRows, referralRows } from "../../../collector/store/views.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const key = { network: "practice", account: "main" };
const at = (hour: number): Date => new Date(Date.UTC(2027, 0, 1, hour));
let database: Database;

const points = (value: number): ParsedFact => ({
  metric: "points",
  networkNodeId: "c-1",
  value: BigInt(value),
  text: null,
  day: null,
  derived: false,
});

beforeEach(async () => {
  ({ database } = await server.fresh());
  await knowAccount(database, key, "Main", true);
  for (const hour of [1, 2, 3, 4]) await tell(at(hour), points(hour), points(hour * 10));
  await reparse(at(1), points(100));
});

describe("facts of a stretch of time", () => {
  it.each([1, 2, 3, 100])("come in the order of their instants, the newest first, by pages of %i", async (limit) => {
    expect(await listed({ from: at(1), to: at(4) }, limit)).toEqual(["30", "3", "20", "2", "100", "10", "1"]);
  });
});

describe("facts", () => {
  it.each([1, 3, 100])("come the newest first, however late they were found, by pages of %i", async (limit) => {
    expect(await listed({}, limit)).toEqual(["40", "4", "30", "3", "20", "2", "100", "10", "1"]);
  });

  it.each([1, 2, 3, 100])("of a node come under all its names in one order, by pages of %i", async (limit) => {
    const nodeId = await node("c-1", "c-2");
    await tell(at(3), { ...points(33), networkNodeId: "c-2" });
    await tell(at(5), { ...points(5), networkNodeId: "c-2" });
    await tell(at(6), { ...points(6), networkNodeId: "c-3" });
    expect(await listed({ nodeId, from: at(2) }, limit)).toEqual(["5", "40", "4", "33", "30", "3", "20", "2"]);
  });

  it("of a node that no network knows are none", async () => {
    expect(await factRows(database, { nodeId: await node(), limit: 10 })).toEqual([]);
  });
});

describe("the newest of what was told", () => {
  it("of a node are the points of the newest answer, whatever was found in older ones since", async () => {
    await node("c-1");
    const [row] = await nodeRows(database, { limit: 1 });
    expect(row).toMatchObject({ points_value: "40", points_as_of: at(4) });
  });

  it("of an account's referrals are of the newest answer, as its newest parser found them", async () => {
    const counts = (invitee: number, pending: number) => [
      { ...points(invitee), networkNodeId: null, metric: referralMetrics.invitee },
      { ...points(pending), networkNodeId: null, metric: referralMetrics.pending },
    ];
    await tell(at(5), ...counts(5, 1));
    await tell(at(6), ...counts(6, 2));
    await reparse(at(6), ...counts(7, 3));
    await reparse(at(5), ...counts(8, 4));
    expect(await referralRows(database, undefined, 10)).toMatchObject([{ invitee: "7", pending: "3", as_of: at(6) }]);
  });

  it("says which account a node is of", async () => {
    const nodeId = await node("c-1");
    const other = { network: "practice", account: "other" };
    await knowAccount(database, other, "Other", true);
    await tell(at(5), { ...points(50), networkNodeId: "c-9" });
    await beginUnread(database, other, at(6), at(7), "away", at(8));
    const verdicts = () => database.selectFrom("layer_interval").selectAll().where("node_id", "=", nodeId).execute();
    expect(await verdicts()).toEqual([]);
    await beginUnread(database, key, at(6), at(7), "away", at(8));
    expect((await verdicts()).map(({ layer, value }) => [layer, value])).toEqual([
      ["verdict", "unknown"],
      ["reward", "unknown"],
    ]);
  });
});

/** Returns the values of a list that is read page by page. */
async function listed(filter: Omit<Parameters<typeof factRows>[1], "limit">, limit: number) {
  const found: (string | null)[] = [];
  for (let after: string | undefined; ; ) {
    const page = await factRows(database, { ...filter, ...(after === undefined ? {} : { after }), limit });
    found.push(...page.map(({ value }) => value));
    if (page.length < limit) return found;
    after = page.at(-1)?.id;
  }
}

/** Puts a node into the inventory that the network knows by these names. Returns its number. */
async function node(...names: readonly string[]): Promise<number> {
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m0", "/nowhere")], at(0)), at(0));
  const nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
  const { id } = await database.selectFrom("incarnation").select("id").executeTakeFirstOrThrow();
  for (const [index, name] of names.entries()) {
    const last = index === names.length - 1;
    await sql`insert into network_node (node_id, incarnation_id, network, network_node_id, from_at, to_at, evidence)
      values (${nodeId}, ${id}, 'practice', ${name}, ${at(0)}, ${last ? null : at(1)}, '{}')`.execute(database);
  }
  return nodeId;
}

async function tell(when: Date, ...facts: readonly ParsedFact[]): Promise<void> {
  const answer = { call: "nodes", startedAt: when, finishedAt: when, httpStatus: 200, body: "{}", failure: null };
  await storeAnswers(database, key, practice, 1000, [{ answer, body: "{}", outcome: "ok", reason: null, facts }], when);
}

/** Stores facts of the answer of that instant, as a newer parser that finds more in it. */
async function reparse(when: Date, ...facts: readonly ParsedFact[]): Promise<void> {
  const { id } = await database
    .selectFrom("reading")
    .select("id")
    .where("finished_at", "=", when)
    .executeTakeFirstOrThrow();
  await inTransaction(database, (transaction) => storeFacts(transaction, key, practice, id, facts, when));
}
