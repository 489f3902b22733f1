import { beforeEach, describe, expect, it } from "vitest";
import { practice } from "../../../collector/networks/practice/adapter.ts";
import { type Database, inTransaction } from "../../../collector/store/database.ts";
import { knowAccount, storeAnswers, storeFacts } from "../../../collector/store/readings.ts";
import { factRows } from "../../../collector/store/views.ts";
import { serverForFile } from "../database.ts";

const server = serverForFile();
const key = { network: "practice", account: "main" };
const at = (hour: number): Date => new Date(Date.UTC(2027, 0, 1, hour));
let database: Database;

const points = (value: number) => ({
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
  for (const hour of [1, 2, 3, 4]) {
    const answer = {
      call: "nodes",
      startedAt: at(hour),
      finishedAt: at(hour),
      httpStatus: 200,
      body: "{}",
      failure: null,
    };
    const understood = {
      answer,
      body: "{}",
      outcome: "ok" as const,
      reason: null,
      facts: [points(hour), points(hour * 10)],
    };
    await storeAnswers(database, key, practice, 1000, [understood], at(hour));
  }
  // A newer parser's fact of an old reading comes last.
  const [first] = await database.selectFrom("reading").select("id").orderBy("id").limit(1).execute();
  await inTransaction(database, (transaction) =>
    storeFacts(transaction, key, practice, first?.id ?? "", [points(100)], at(1)),
  );
});

describe("facts of a stretch of time", () => {
  it.each([1, 2, 3, 100])("come in the order of their instants, the newest first, by pages of %i", async (limit) => {
    const found: (string | null)[] = [];
    for (let after: string | undefined; ; ) {
      const place = after === undefined ? {} : { after };
      const page = await factRows(database, { from: at(1), to: at(4), ...place, limit });
      found.push(...page.map(({ value }) => value));
      if (page.length < limit) break;
      after = page.at(-1)?.id;
    }
    expect(found).toEqual(["30", "3", "20", "2", "100", "10", "1"]);
  });
});
