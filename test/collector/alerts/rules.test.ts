import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { conditionsIn, type NodePicture, type Picture, type RuleName, rules } from "../../../collector/alerts/rules.ts";
import { usualSettings } from "../../../collector/alerts/settings.ts";
import { settle } from "../../../collector/alerts/settle.ts";
import { nodeWith, pictureWith } from "./picture.ts";

const start = new Date("2027-03-01T00:00:00Z");
const later = (seconds: number): Date => new Date(start.getTime() + seconds * 1_000);
const found = (parts: Partial<Picture>, now = later(86_400)): [RuleName, string][] =>
  conditionsIn(pictureWith(parts), now).map(({ rule, subject }) => [rule, subject]);
const layer = (value: string, reason = "so it is", own: "good" | "bad" | "unsupported" | "unknown" | null = null) => ({
  value,
  class: own,
  reason,
  since: start,
});

describe("of a node", () => {
  it.each<[string, NodePicture["layers"], [RuleName, string][]]>([
    ["that is well: nothing", {}, []],
    ["that is silent: that alone", { machine: layer("unknown"), runtime: layer("unknown") }, [["node-silent", "a/0"]]],
    ["that is down: the same", { machine: layer("down"), verdict: layer("Bad", "", "bad") }, [["node-silent", "a/0"]]],
    ["whose runtime is down", { runtime: layer("down"), app: layer("down") }, [["workload-down", "a/0"]]],
    [
      "whose workload starts: nothing",
      { runtime: layer("unknown", "starting"), app: layer("unknown", "starting") },
      [],
    ],
    ["whose disk is full", { machine: layer("degraded") }, [["machine-degraded", "a/0"]]],
    ["that the network refuses", { verdict: layer("Unsupported", "", "unsupported") }, [["verdict-bad", "a/0"]]],
    ["of which the network says a new word", { verdict: layer("Paused", "", "unknown") }, [["verdict-bad", "a/0"]]],
    ["of which the network was not asked: nothing", { verdict: layer("unknown", "", "unknown") }, []],
    ["that earns from no network: nothing", { verdict: layer("none", "", "unknown"), reward: layer("none") }, []],
    ["whose points stand still", { reward: layer("stalled") }, [["reward-stalled", "a/0"]]],
  ])("%s", (_, layers, expected) => {
    expect(found({ nodes: [nodeWith("a/0", start, layers)] })).toEqual(expected);
  });

  it("that is stopped: nothing, because its silence is planned", () => {
    expect(found({ nodes: [{ ...nodeWith("a/0", start, { machine: layer("down") }), power: "off" }] })).toEqual([]);
  });

  it("names the layer as its workload does, what is so, since when, and what to do", () => {
    const node = nodeWith("a/0", start, { runtime: layer("down", "browser.service ended by SIGKILL") });
    const [condition] = conditionsIn(
      pictureWith({ nodes: [{ ...node, names: { ...node.names, runtime: "browser" } }] }),
      start,
    );
    expect(condition?.summary).toBe(
      "The browser of a/0 is down since 2027-03-01 00:00 UTC: browser.service ended by SIGKILL.",
    );
    expect(condition?.fix).toMatch(/^Look into/);
  });
});

it("an account that is not read is one condition, whatever number of nodes it has", () => {
  const nodes = Array.from({ length: 50 }, (_, slot) =>
    nodeWith(`a/${slot}`, start, {
      verdict: layer("unknown", "the network was not read", "unknown"),
      reward: layer("unknown"),
    }),
  );
  const unread = [{ account: "practice/me", from: start, reason: "answered with 503" }];
  expect(found({ nodes, unread })).toEqual([["account-unread", "practice/me"]]);
});

it("events of one kind are one condition that counts them", () => {
  const events = [
    { node: "a/0", name: "host-key-changed", count: 1, first: start, last: start },
    { node: "a/0", name: "logins-failed", count: 7, first: start, last: later(3_600) },
    { node: "a/1", name: "profile-replaced", count: 1, first: start, last: start },
    { node: "a/1", name: "boot", count: 3, first: start, last: start },
  ];
  const conditions = conditionsIn(pictureWith({ events }), later(60));
  expect(conditions.map(({ rule, subject }) => [rule, subject])).toEqual([
    ["security", "a/0 host-key-changed"],
    ["security-notice", "a/0 logins-failed"],
    ["identity-changed", "a/1 profile-replaced"],
  ]);
  expect(conditions[1]?.summary).toBe(
    "a/0: log-ins failed, 7 times from 2027-03-01 00:00 UTC to 2027-03-01 01:00 UTC.",
  );
});

it("a reading that failed for good is told of, one that may be tried again is not", () => {
  const run = (job: string, outcome: string) => ({ job, at: start, outcome, reason: "why" });
  const runs = ["ok", "shape", "blocked", "auth", "transient", "rate-limited"].map((outcome) => run(outcome, outcome));
  expect(found({ runs }).map(([, job]) => job)).toEqual(["shape", "blocked", "auth"]);
});

it("a phase and a free period are told of thirty days ahead, a budget when it is exceeded", () => {
  const end = new Date("2027-06-30T00:00:00Z");
  const fleet = {
    stack: "lab",
    phase: { name: "pilot", end, budgetMicroUsdPerMonth: 83_000_000 },
    freeUntil: [{ account: "azure", at: end }],
    microUsdPerMonth: 83_000_000,
    writtenAt: start,
  };
  expect(found({ fleet }, new Date("2027-05-30T23:59:59Z"))).toEqual([]);
  expect(found({ fleet }, new Date("2027-05-31T00:00:00Z"))).toEqual([
    ["phase-ends", "lab pilot"],
    ["phase-ends", "lab azure"],
  ]);
  expect(found({ fleet: { ...fleet, microUsdPerMonth: 83_000_001 } }, start)).toEqual([["over-budget", "lab pilot"]]);
});

describe("alerts", () => {
  const silent = conditionsIn(pictureWith({ nodes: [nodeWith("a/0", start, { machine: layer("unknown") })] }), start);

  it("begin when the grace of their rule is over, by the clock of their evidence", () => {
    expect(settle([], silent, usualSettings, later(299)).opened).toEqual([]);
    expect(settle([], silent, usualSettings, later(300)).opened).toMatchObject([
      { subject: "a/0", severity: "critical" },
    ]);
  });

  it("are one for each rule and subject, restated when they read otherwise, and end with what they tell of", () => {
    const open = [{ id: "1", rule: "node-silent", subject: "a/0", summary: "It was something else." }];
    expect(settle(open, silent, usualSettings, later(300))).toEqual({
      opened: [],
      restated: [{ id: "1", summary: silent[0]?.summary }],
      ended: [],
    });
    expect(settle(open, [], usualSettings, later(300)).ended).toEqual(["1"]);
  });

  it("follow the settings of their rule", () => {
    const settings = { ...usualSettings, rules: { "node-silent": { severity: "info", graceSeconds: 60 } } } as const;
    expect(settle([], silent, settings, later(60)).opened).toMatchObject([{ severity: "info" }]);
    const off = { ...usualSettings, rules: { "node-silent": { enabled: false } } };
    expect(settle([], silent, off, later(600)).opened).toEqual([]);
  });
});

it("a brake that failing nodes set, and each rebuild that is proposed, is told with what to do", () => {
  const change = "Add 3 to gradientlab:fleet.groups.a.retired.";
  const recovery = {
    braked: { since: start, reason: "9 of 10 nodes that should run are in trouble at one time." },
    proposals: [{ node: "a/3", at: start, reason: "runtime down: exit-7", change }],
  };
  const conditions = conditionsIn(pictureWith({ recovery }), start);
  expect(conditions).toMatchObject([
    {
      rule: "recovery-braked",
      summary:
        "No node is repaired since 2027-03-01 00:00 UTC: 9 of 10 nodes that should run are in trouble at one time.",
    },
    {
      rule: "node-needs-rebuild",
      subject: "a/3",
      summary: "a/3 needs another machine, as nothing else helped (runtime down: exit-7).",
      fix: change,
    },
  ]);
});

it("every rule stands in the guide as it is", async () => {
  const guide = await readFile(new URL("../../../docs/alerts.md", import.meta.url), "utf8");
  const rows = Object.entries(rules).map(([name, { means, severity, graceSeconds }]) => {
    const grace: number = graceSeconds;
    return `| \`${name}\` | ${means} | ${severity} | ${grace === 0 ? "at once" : `${grace / 60} min`} |`;
  });
  for (const row of rows) expect(guide).toContain(row);
});
