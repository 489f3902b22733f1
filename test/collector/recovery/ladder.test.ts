import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Outcome } from "../../../collector/recovery/rungs.ts";
import { type RecoverySettings, usualRecovery } from "../../../collector/recovery/settings.ts";
import type { LayersNow } from "../../../collector/recovery/trouble.ts";
import { silence } from "../../../collector/states/lines.ts";
import { layer, type ModelFleet, modelFleet, wellLayers } from "./fleet.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

const keysOf = (count: number): string[] => Array.from({ length: count }, (_, slot) => `home/${slot}`);
const rungsOf = (fleet: ModelFleet, key = "home/0"): string[] =>
  fleet.done.filter(({ node }) => node === key).map(({ rung }) => rung);

/** The states a node can be in, by name. */
const states: Readonly<Record<string, (at: Date) => LayersNow>> = {
  well: wellLayers,
  crashed: (at) => ({ ...wellLayers(at), runtime: layer("down", at), app: layer("down", at) }),
  hung: (at) => ({ ...wellLayers(at), app: layer("unknown", at, { reason: "not measured: timeout" }) }),
  starting: (at) => ({ ...wellLayers(at), app: layer("unknown", at, { reason: "starting" }) }),
  silent: (at) => ({
    ...wellLayers(at),
    machine: layer("unknown", at, { reason: silence.unasked, evidence: { kind: "silence", after: "" } }),
  }),
  mute: (at) => ({
    ...wellLayers(at),
    machine: layer("unknown", at, { reason: silence.answers, evidence: { kind: "silence", after: "" } }),
  }),
  dead: (at) => ({ ...wellLayers(at), machine: layer("down", at, { evidence: { kind: "status", alive: false } }) }),
  stopping: (at) => ({ ...wellLayers(at), machine: layer("down", at, { reason: "stopped as asked" }) }),
  disconnected: (at) => ({ ...wellLayers(at), verdict: layer("Disconnected", at, { class: "bad" }) }),
  unsupported: (at) => ({ ...wellLayers(at), verdict: layer("Unsupported", at, { class: "unsupported" }) }),
  unread: (at) => ({ ...wellLayers(at), verdict: layer("unknown", at, { class: "unknown" }) }),
};
const become = (fleet: ModelFleet, key: string, state: string): void =>
  fleet.set(key, (states[state] as (at: Date) => LayersNow)(fleet.now()));

/** Lets time pass; whatever is sent to a node ends with `outcome` at once. */
function passWith(fleet: ModelFleet, seconds: number, outcome: Outcome, keys: readonly string[] = ["home/0"]): void {
  const step = seconds > day ? 600 : 30;
  for (let left = seconds; left > 0; left -= step) {
    fleet.pass(step, step);
    for (const key of keys) fleet.end(key, outcome);
  }
}

describe("the ladder", () => {
  it("climbs rung by rung to a proposal, each after the one before had its time, and then waits for the operator", () => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", "crashed");
    fleet.pass(14 * minute);
    expect(fleet.done).toEqual([]);
    expect(fleet.standing("home/0")).toBe("It is given time to mend itself.");
    passWith(fleet, 3 * hour, "done");
    expect(fleet.done.map(({ rung, at }) => [rung, Math.round(at / 60_000)])).toEqual([
      ["runtime", 16],
      ["workload", 31],
      ["reboot", 46],
      ["rebuild", 76],
    ]);
    passWith(fleet, 30 * day, "done");
    expect(rungsOf(fleet)).toHaveLength(4);
    expect(fleet.standing("home/0")).toBe("All rungs were tried: it is the operator's turn.");
  });

  it("ends with success when all is well for a while, and begins with the first rung the next time", () => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", "crashed");
    passWith(fleet, 17 * minute, "done");
    become(fleet, "home/0", "well");
    passWith(fleet, 11 * minute, "done");
    expect(fleet.closed).toEqual([{ node: "home/0", outcome: "recovered" }]);
    become(fleet, "home/0", "crashed");
    passWith(fleet, 17 * minute, "done");
    expect(rungsOf(fleet)).toEqual(["runtime", "runtime"]);
  });

  it("sees a node that comes and goes as one that is in trouble", () => {
    const fleet = modelFleet(keysOf(3));
    for (let turn = 0; turn < 60; turn++) {
      become(fleet, "home/0", turn % 2 === 0 ? "crashed" : "well");
      passWith(fleet, minute, "done");
    }
    expect(rungsOf(fleet)).toEqual(["runtime", "workload", "reboot"]);
  });

  it("leaves alone what mends itself in time, and what is only starting", () => {
    const fleet = modelFleet(keysOf(3));
    for (let turn = 0; turn < 20; turn++) {
      become(fleet, "home/0", turn % 2 === 0 ? "starting" : "well");
      passWith(fleet, 13 * minute, "done");
    }
    expect(fleet.done).toEqual([]);
    become(fleet, "home/0", "starting");
    passWith(fleet, day, "done");
    expect(fleet.done).toEqual([]);
  });

  it("goes on at once after a refusal, tries a rung again that never reached the node, and passes one of unknown outcome", () => {
    const refused = modelFleet(keysOf(1));
    become(refused, "home/0", "hung");
    passWith(refused, 18 * minute, "refused");
    expect(rungsOf(refused)).toEqual(["runtime", "workload", "reboot", "rebuild"]);

    const unreachable = modelFleet(keysOf(1));
    become(unreachable, "home/0", "hung");
    passWith(unreachable, day, "unreachable");
    expect(rungsOf(unreachable)).toEqual(["runtime", "runtime", "runtime", "runtime"]);
    expect(unreachable.standing("home/0")).toBe("It has had 4 actions within a day, which is the limit.");

    const unknown = modelFleet(keysOf(1));
    become(unknown, "home/0", "hung");
    passWith(unknown, 32 * minute, "unknown");
    expect(rungsOf(unknown)).toEqual(["runtime", "workload"]);
  });

  it("sends nothing while an action of the node is under way", () => {
    const fleet = modelFleet(keysOf(1));
    become(fleet, "home/0", "crashed");
    fleet.pass(5 * day, minute);
    expect(rungsOf(fleet)).toEqual(["runtime"]);
    expect(fleet.standing("home/0")).toBe("The runtime is under way.");
  });
});

describe("nodes that no verb helps", () => {
  it.each(["silent", "dead"])(
    "a %s machine is proposed for a rebuild after its own grace, and nothing is sent",
    (state) => {
      const fleet = modelFleet(keysOf(3));
      become(fleet, "home/0", state);
      fleet.pass(59 * minute);
      expect(fleet.done).toEqual([]);
      fleet.pass(2 * minute);
      expect(rungsOf(fleet)).toEqual(["rebuild"]);
    },
  );

  it("a machine that answers and takes no samples is rebooted", () => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", "mute");
    passWith(fleet, 2 * hour, "done");
    expect(rungsOf(fleet)).toEqual(["reboot", "rebuild"]);
  });

  it("a machine that did not come back from a reboot is not taken for one that was stopped", () => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", "crashed");
    passWith(fleet, 47 * minute, "done");
    expect(rungsOf(fleet)).toEqual(["runtime", "workload", "reboot"]);
    become(fleet, "home/0", "stopping");
    passWith(fleet, 2 * hour, "done");
    expect(rungsOf(fleet)).toEqual(["runtime", "workload", "reboot", "rebuild"]);
  });

  it("a node that was stopped, by its config or by hand, is left alone, and one that left or was replaced begins anew", () => {
    const fleet = modelFleet(["home/0", "home/1", "home/2", "home/3"]);
    for (const key of ["home/0", "home/1", "home/2"]) become(fleet, key, "crashed");
    passWith(fleet, 17 * minute, "done", ["home/0", "home/1", "home/2"]);
    expect(fleet.done).toHaveLength(3);
    fleet.node("home/0").power = "off";
    fleet.node("home/1").gone = true;
    fleet.node("home/2").machineId = "another";
    become(fleet, "home/3", "stopping");
    passWith(fleet, 15 * minute, "done", ["home/2"]);
    expect(fleet.closed.map(({ outcome }) => outcome).toSorted()).toEqual(["left", "replaced", "stopped"]);
    passWith(fleet, 10 * minute, "done", ["home/2"]);
    expect(fleet.done.map(({ node, rung }) => `${node} ${rung}`).slice(3)).toEqual(["home/2 runtime"]);
  });

  it("a collector that has just started knows too little to do anything", () => {
    const fleet = modelFleet(keysOf(1), {
      ...usualRecovery,
      graceSeconds: { ...usualRecovery.graceSeconds, start: 3_600 },
    });
    become(fleet, "home/0", "crashed");
    fleet.pass(59 * minute);
    expect(fleet.done).toEqual([]);
    fleet.pass(2 * minute);
    expect(rungsOf(fleet)).toEqual(["runtime"]);
  });
});

describe("verdicts", () => {
  it("a bad one on a healthy machine restarts runtime and workload after hours, and never reboots or rebuilds", () => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", "disconnected");
    passWith(fleet, 2 * hour - minute, "done");
    expect(fleet.done).toEqual([]);
    passWith(fleet, 20 * day, "done");
    expect(rungsOf(fleet)).toEqual(["runtime", "workload"]);
    const [first, second] = fleet.done;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(2 * hour * 1_000);
  });

  it("is over when the network says so, or that it does not take the address; not when nobody could read it", () => {
    const fleet = modelFleet(keysOf(2));
    for (const key of keysOf(2)) become(fleet, key, "disconnected");
    passWith(fleet, 3 * hour, "done", keysOf(2));
    for (const key of keysOf(2)) become(fleet, key, "unread");
    passWith(fleet, hour, "done", keysOf(2));
    expect(fleet.closed).toEqual([]);
    become(fleet, "home/0", "well");
    become(fleet, "home/1", "unsupported");
    passWith(fleet, hour, "done", keysOf(2));
    expect(fleet.closed).toEqual([
      { node: "home/1", outcome: "unsupported" },
      { node: "home/0", outcome: "recovered" },
    ]);
  });

  it.each(["unsupported", "unread"])("%s is never repaired", (state) => {
    const fleet = modelFleet(keysOf(3));
    become(fleet, "home/0", state);
    passWith(fleet, 30 * day, "done");
    expect(fleet.done).toEqual([]);
  });

  it("many of one account at one time are the account's, also where some could not be read; another account's are not", () => {
    const keys = keysOf(50);
    const fleet = modelFleet([...keys, "other/0", "other/1", "other/2"]);
    for (const [index, key] of keys.entries()) {
      fleet.node(key).account = "practice/main";
      become(fleet, key, index % 3 === 0 ? "unread" : "disconnected");
    }
    for (const key of ["other/0", "other/1", "other/2"]) fleet.node(key).account = "practice/other";
    become(fleet, "other/1", "disconnected");
    passWith(fleet, 2 * day, "done", [...keys, "other/1"]);
    expect(fleet.done.map(({ node }) => node)).toEqual(["other/1", "other/1"]);
    expect(fleet.standing("home/1")).toContain("that is the account's, not a node's");
    expect(fleet.brakes).toEqual([]);
  });
});

describe("limits and the brake", () => {
  it("sees to so many nodes at once, the longest waiting first", () => {
    const fleet = modelFleet(keysOf(40));
    for (const key of ["home/7", "home/3", "home/9", "home/1", "home/5"]) {
      become(fleet, key, "crashed");
      fleet.pass(30);
    }
    fleet.pass(20 * minute);
    expect(fleet.done.map(({ node }) => node)).toEqual(["home/7", "home/3", "home/9"]);
    expect(fleet.standing("home/1")).toBe("It waits for its turn: 3 nodes are seen to at once.");
  });

  it("does nothing while many fail at once, says so once, and goes on when few are left", () => {
    const keys = keysOf(20);
    const fleet = modelFleet(keys);
    for (const key of keys.slice(0, 8)) become(fleet, key, "silent");
    fleet.pass(2 * day, 10 * minute);
    expect(fleet.done).toEqual([]);
    expect(fleet.brakes).toEqual([
      { kind: "set", reason: "8 of 20 nodes that should run are in trouble at one time." },
    ]);
    for (const key of keys.slice(1, 6)) become(fleet, key, "well");
    fleet.pass(minute);
    // Three are fewer than half of what set it by their share, not by half a share that comes and goes.
    expect(fleet.brakes).toHaveLength(1);
    become(fleet, "home/6", "well");
    fleet.pass(2 * hour);
    expect(fleet.brakes.slice(1)).toEqual([
      { kind: "release", reason: "2 of 20 nodes that should run are in trouble." },
    ]);
    expect(fleet.done.map(({ node, rung }) => `${node} ${rung}`).toSorted()).toEqual([
      "home/0 rebuild",
      "home/7 rebuild",
    ]);
  });

  it("is released by the operator for a while, and set by the operator until they say otherwise", () => {
    const keys = keysOf(10);
    const fleet = modelFleet(keys);
    for (const key of keys) become(fleet, key, "crashed");
    fleet.pass(hour);
    expect(fleet.braked()).toBe(true);
    fleet.operatorReleases();
    passWith(fleet, 50 * minute, "done", keys);
    expect(fleet.braked()).toBe(false);
    expect(fleet.done.length).toBeGreaterThan(2);
    passWith(fleet, 20 * minute, "done", keys);
    expect(fleet.braked()).toBe(true);
    const before = fleet.done.length;
    for (const key of keys.slice(1)) become(fleet, key, "well");
    fleet.operatorPauses();
    passWith(fleet, 5 * day, "done", keys);
    expect(fleet.done).toHaveLength(before);
    expect(fleet.braked()).toBe(true);
  });

  it("two nodes of three are two nodes: a small fleet is repaired", () => {
    const fleet = modelFleet(keysOf(3));
    for (const key of keysOf(2)) become(fleet, key, "crashed");
    fleet.pass(20 * minute);
    expect(fleet.done.map(({ rung }) => rung)).toEqual(["runtime", "runtime"]);
  });

  it("is off for a fleet, and on or off for a group", () => {
    const off = modelFleet(["home/0", "shed/0"], {
      ...usualRecovery,
      enabled: false,
      groups: { shed: { enabled: true } },
    });
    for (const key of ["home/0", "shed/0"]) become(off, key, "crashed");
    off.pass(20 * minute);
    expect(off.done.map(({ node }) => node)).toEqual(["shed/0"]);
    expect(off.standing("home/0")).toBe(null);
  });
});

it("never goes beyond a limit, whatever happens to a fleet in whatever order", () => {
  // Most of a fleet is well: where all of it fails, the brake leaves nothing to limit.
  const often = ["well", "well", "well", "well", "well", "well", "crashed", "hung"];
  const outcomes: Outcome[] = ["done", "failed", "refused", "unavailable", "unreachable", "unknown"];
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("state" as const),
        node: fc.nat(11),
        state: fc.constantFrom(...Object.keys(states), ...often),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("end" as const),
        node: fc.nat(11),
        outcome: fc.constantFrom(...outcomes),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.integer({ min: 1, max: 7_200 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("power" as const), node: fc.nat(11) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("replace" as const), node: fc.nat(11) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("pause" as const, "release" as const) }) },
  );
  const settings: fc.Arbitrary<RecoverySettings> = fc
    .record({
      perNodePerDay: fc.integer({ min: 0, max: 4 }),
      atOnce: fc.integer({ min: 0, max: 3 }),
      perHour: fc.integer({ min: 0, max: 5 }),
      grace: fc.integer({ min: 0, max: 900 }),
      count: fc.integer({ min: 3, max: 12 }),
      share: fc.double({ min: 0.3, max: 1, noNaN: true }),
    })
    .map(({ perNodePerDay, atOnce, perHour, grace, count, share }) => ({
      ...usualRecovery,
      limits: { perNodePerDay, atOnce, perHour },
      graceSeconds: { start: 0, software: grace, machine: grace, verdict: grace },
      waitSeconds: { runtime: grace, workload: grace, reboot: grace, verdict: grace },
      steadySeconds: grace,
      brake: { ...usualRecovery.brake, count, share },
    }));
  let actions = 0;
  fc.assert(
    fc.property(settings, fc.array(step, { minLength: 60, maxLength: 160 }), (settings, steps) => {
      const fleet = modelFleet(keysOf(12), settings);
      for (const one of steps) {
        const key = "node" in one ? `home/${one.node}` : "";
        if (one.do === "state") become(fleet, key, one.state);
        else if (one.do === "end") fleet.end(key, one.outcome);
        else if (one.do === "power") fleet.node(key).power = fleet.node(key).power === "on" ? "off" : "on";
        else if (one.do === "replace") fleet.node(key).machineId = `m${fleet.now().getTime()}`;
        else if (one.do === "pause") fleet.operatorPauses();
        else if (one.do === "release") fleet.operatorReleases();
        const before = fleet.done.length;
        const pausedBefore = fleet.braked();
        if (one.do === "pass") fleet.pass(one.seconds, Math.max(30, Math.ceil(one.seconds / 40)));
        else fleet.look();
        const begun = fleet.done.slice(before);
        for (const { node, rung, trouble } of begun) {
          const { layers, power } = fleet.node(node);
          expect(power).toBe("on");
          expect(layers.verdict?.class === "unsupported" && trouble === "verdict").toBe(false);
          if (trouble === "verdict") expect(["runtime", "workload"]).toContain(rung);
          if (trouble === "unreachable") expect(rung).toBe("rebuild");
        }
        if (pausedBefore && fleet.braked()) expect(begun).toEqual([]);
        const open = fleet.done.filter(({ endedAt }) => endedAt === null);
        expect(open.length).toBeLessThanOrEqual(settings.limits.atOnce);
        expect(new Set(open.map(({ node }) => node)).size).toBe(open.length);
      }
      const sent = fleet.done.filter(({ rung }) => rung !== "rebuild");
      actions += sent.length;
      for (const { at, node } of sent) {
        const within = (ms: number) => sent.filter((other) => other.at > at - ms && other.at <= at);
        expect(within(hour * 1_000).length).toBeLessThanOrEqual(settings.limits.perHour);
        const own = within(day * 1_000).filter((other) => other.node === node);
        expect(own.length).toBeLessThanOrEqual(settings.limits.perNodePerDay);
      }
    }),
    { numRuns: Number(process.env.RECOVERIES ?? 150) },
  );
  // A property of a fleet to which nothing is ever done would hold as well.
  expect(actions).toBeGreaterThan(100);
});
