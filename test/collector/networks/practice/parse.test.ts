import { describe, expect, it } from "vitest";
import type { ParsedFact } from "../../../../collector/networks/adapter.ts";
import { NetworkError } from "../../../../collector/networks/outcome.ts";
import { practice } from "../../../../collector/networks/practice/adapter.ts";
import { parsePractice } from "../../../../collector/networks/practice/parse.ts";

const node = {
  id: "c-1",
  name: "one",
  active: true,
  connect: true,
  status: "Good",
  lastActive: 1_760_000_000_000,
  createAt: 1_750_000_000_000,
  duration: 86_400_000,
  today: 25_000,
  todayDuration: 600_000,
  todayLatency: 2,
  score: 75_000,
  season: { 0: 50_000, 1: 25_000 },
  banned: false,
  bannedReason: null,
  ip: "192.0.2.1",
  location: null,
};
const list = (nodes: unknown): string => JSON.stringify({ code: 200, data: nodes, msg: "success" });
const call = "sentrynode/list?page=1";

const told = (facts: readonly ParsedFact[], metric: string): bigint | string | null | undefined => {
  const fact = facts.find((one) => one.metric === metric);
  return fact === undefined ? undefined : (fact.text ?? fact.value);
};

describe("the practice parser", () => {
  it("reads a node's verdict verbatim and its points as exact integers", () => {
    const facts = parsePractice(call, list([node]));
    expect(told(facts, "verdict")).toBe("Good");
    expect(told(facts, "points")).toBe(75_000n);
    expect(told(facts, "season-points:1")).toBe(25_000n);
    expect(facts.find(({ metric }) => metric === "points")?.derived).toBe(true);
  });

  it("keeps a word that it has never seen", () => {
    expect(told(parsePractice(call, list([{ ...node, status: "Hibernating" }])), "verdict")).toBe("Hibernating");
  });

  it("keeps digits that a JavaScript number would lose", () => {
    const body = list([node]).replace('"0":50000', '"0":9007199254740993');
    expect(told(parsePractice(call, body), "season-points:0")).toBe(9_007_199_254_740_993n);
  });

  it("reads no nodes from an empty list, and no points from a node without seasons' points", () => {
    expect(parsePractice(call, list([]))).toEqual([]);
    expect(() => parsePractice(call, list([{ ...node, season: undefined }]))).toThrow(NetworkError);
  });

  it("tells a node that the network does not know from one without a verdict", () => {
    const facts = parsePractice("sentrynode/get/c-9", JSON.stringify({ code: 404, data: null, msg: "absent" }));
    expect(facts).toMatchObject([{ metric: "presence", networkNodeId: "c-9", text: "absent" }]);
  });

  it("reads days as days and refuses what is none", () => {
    const stats = (id: string): string =>
      JSON.stringify({ code: 200, data: [{ id, node: 1, referral: 2, bonus: 3, boost: 4 }], msg: "" });
    expect(parsePractice("point/stats", stats("20280229")).map(({ day }) => day)).toEqual(Array(4).fill("2028-02-29"));
    expect(() => parsePractice("point/stats", stats("20270229"))).toThrow(/should be a day/);
  });

  it("declares how each metric is counted", () => {
    const answers: [string, string][] = [
      [call, list([{ ...node, banned: true, bannedReason: "data centre" }])],
      ["status", JSON.stringify({ ip: "", time: 5 })],
      [
        "user/profile",
        list({ season: { 0: 1 }, stats: { invitee: 2, pending: 1 }, point: { total: 1 }, node: { sentry: 1 } }),
      ],
      ["sentrynode/stats/c-1", list([{ id: "20260101", node: "c-1", duration: 1, latency: 2 }])],
    ];
    for (const [path, body] of answers) {
      const facts = parsePractice(path, body);
      expect(facts.length).toBeGreaterThan(0);
      for (const { metric } of facts) expect(practice.metricOf(metric), metric).toBeDefined();
    }
  });

  it.each([
    ["HTML where JSON was due", "<html><body>Sign in</body></html>"],
    ["no envelope", JSON.stringify([node])],
    ["data that is no list", list({ nodes: [node] })],
    ["a negative amount", list([{ ...node, today: -1 }])],
    ["a fraction", list([node]).replace('"today":25000', '"today":25000.5')],
    ["an exponent", list([node]).replace('"today":25000', '"today":1e400')],
    ["NaN", list([node]).replace('"today":25000', '"today":NaN')],
    ["a number as text", list([{ ...node, today: "25000" }])],
    ["null for an amount", list([{ ...node, today: null }])],
    ["an answer that breaks off", list([node]).slice(0, -20)],
    ["a status that is a number", list([{ ...node, status: 1 }])],
    ["nothing", ""],
  ])("calls %s a shape it does not know and reads nothing from it", (_what, body) => {
    let outcome: unknown;
    try {
      parsePractice(call, body);
    } catch (error) {
      outcome = error instanceof NetworkError ? error.outcome : error;
    }
    expect(outcome).toBe("shape");
  });
});
