import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Adapter, Answer } from "../../../collector/networks/adapter.ts";
import { mysterium } from "../../../collector/networks/mysterium/adapter.ts";
import { NetworkError } from "../../../collector/networks/outcome.ts";
import { understandAnswer } from "../../../collector/networks/read.ts";
import { type ParseChange, reparse } from "../../../collector/networks/reparse.ts";
import type { Database } from "../../../collector/store/database.ts";
import { knowAccount, storeAnswers } from "../../../collector/store/readings.ts";
import { factRows } from "../../../collector/store/views.ts";
import { main } from "../../../infra/commands/reparse.ts";
import { noArchives, serverForFile } from "../database.ts";
import { identity } from "./mysterium/fixtures.ts";

const server = serverForFile();
const key = { network: "mysterium", account: "node-1" };
let database: Database;
let url: string;

/** A parser of an earlier release: it knew no quality, and read online shares in another scale. */
const earlier: Adapter = {
  ...(mysterium as unknown as Adapter),
  parser: "mysterium/0",
  parse(call, body) {
    if (call.startsWith("node/provider/quality")) throw new NetworkError("shape", "no form is known for it");
    return mysterium
      .parse(call, body)
      .map((fact) => (fact.metric === "online" ? { ...fact, value: (fact.value ?? 0n) / 10n } : fact));
  },
};
const answer = (call: string, body: string, at: Date): Answer => ({
  call: `${call}#${identity}`,
  body,
  startedAt: at,
  finishedAt: at,
  httpStatus: 200,
  failure: null,
});
const session = { read: async () => [], secrets: () => [] };

async function readBy(adapter: Adapter, at: Date): Promise<void> {
  const answers = [
    answer("node/provider/quality", '{"quality":2.5}', at),
    answer("node/provider/activity-stats", '{"online_percent":99.5,"active_percent":1}', at),
    answer("node/monitoring-status", '{"status":"success"}', at),
    answer("nat/type", "<html>", at),
  ].map((one) => understandAnswer(adapter, session, one));
  await storeAnswers(database, key, adapter, 1, answers, at);
}

beforeEach(async () => {
  ({ database, url } = await server.fresh());
  await knowAccount(database, key, "Mysterium", false);
  await readBy(earlier, new Date("2026-01-01T00:00:00Z"));
  await readBy(earlier, new Date("2026-03-01T00:00:00Z"));
});

const since = new Date("2026-02-01T00:00:00Z");
const facts = () => factRows(database, { limit: 1_000 });
async function again(store: boolean) {
  const changes: ParseChange[] = [];
  const found = await reparse(database, noArchives, mysterium, since, store, (change) => changes.push(change));
  return { found, changes };
}

describe("reading old answers anew", () => {
  it("shows what a newer parser reads in another way, since the instant that was asked for, and stores nothing", async () => {
    const before = await facts();
    const { found, changes } = await again(false);
    expect(found).toEqual({ readings: 4, changed: 2, stored: 0 });
    expect(changes).toMatchObject([
      { metric: "quality", before: null, now: "2500000000000000000", networkNodeId: identity },
      { metric: "online", before: "9950000000000000000", now: "99500000000000000000" },
    ]);
    expect(await facts()).toEqual(before);
  });

  it("keeps both where it is told to store, each with its parser and its reading, and then finds nothing more", async () => {
    const { found } = await again(true);
    expect(found).toEqual({ readings: 4, changed: 2, stored: 4 });
    const online = (await facts()).filter(({ metric }) => metric === "online");
    expect(online.map(({ parser, value }) => [parser, value])).toEqual([
      ["mysterium/1", "99500000000000000000"],
      ["mysterium/0", "9950000000000000000"],
      ["mysterium/0", "9950000000000000000"],
    ]);
    expect(online[0]?.reading_id).toBe(online[1]?.reading_id);
    expect(online[0]?.as_of).toEqual(new Date("2026-03-01T00:00:00Z"));
    const [newest] = (await facts()).filter(({ metric }) => metric === "verdict");
    expect(newest).toMatchObject({ parser: "mysterium/1", as_of: new Date("2026-03-01T00:00:00Z") });
    expect((await again(true)).found).toEqual({ readings: 4, changed: 0, stored: 0 });
  });

  it("is a command, which tells each value and the sum", async () => {
    const written: string[] = [];
    vi.stubEnv("DATABASE_URL", url);
    const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
    try {
      expect(await main(["--adapter", "mysterium", "--since", "2026-02-01"])).toBe(0);
    } finally {
      write.mockRestore();
      vi.unstubAllEnvs();
    }
    expect(written.join("")).toContain(
      "quality of 0x00000000000000000000000000000000000000aa: nothing -> 2500000000000000000",
    );
    expect(written.at(-1)).toBe("4 answers read by mysterium/1, 2 of them in another way; 0 values stored.\n");
  });

  it("names every word of the command that is wrong", async () => {
    await expect(main(["--adapter", "grass", "--since", "yesterday"])).rejects.toThrow(
      /--adapter is "grass"\. Give one of: gradient, mysterium[\s\S]*--since is "yesterday"/,
    );
  });
});
