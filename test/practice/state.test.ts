import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { uptimeByDay } from "../../practice/reward.ts";
import { openState, type State } from "../../practice/state.ts";

let folder: string;
let state: State;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "practice-state-"));
  state = openState(join(folder, "network.sqlite"));
  state.addAccount({
    uid: "u",
    email: "practice@test.invalid",
    password: "p",
    name: "Practice",
    enrolCode: "e",
    referralCode: "r",
    createdAt: 0,
  });
});

afterEach(() => {
  state.close();
  rmSync(folder, { recursive: true });
});

const node = (clientid: string) => ({
  clientid,
  uid: "u",
  installation: clientid,
  name: clientid,
  version: "1.0.0",
  ip: "127.0.0.1",
  createdAt: 0,
});

it("keeps for each day the uptime that the rule gives for the heartbeats it stored", () => {
  let made = 0;
  const gaps = fc.array(fc.record({ gap: fc.integer({ min: 0, max: 60 * 60_000 }), counted: fc.boolean() }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 60 * 60_000 }), (steps, toleranceMs) => {
      made += 1;
      const { clientid } = state.registerNode(node(`node-${made}`));
      let at = Date.UTC(2026, 0, 1, 20);
      state.inTransaction(() => {
        for (const { gap, counted } of steps) {
          at += gap;
          state.addHeartbeat(clientid, { at, realAt: at, version: "1.0.0", counted, ip: "127.0.0.1" }, toleranceMs);
        }
      });
      const stored = state.heartbeatsAfter(clientid, 0, 1000);
      expect(stored).toHaveLength(steps.length);
      const days = state.daysOfNode(clientid, "00000000", "99999999").filter(({ uptimeMs }) => uptimeMs > 0);
      expect(days.map(({ day, uptimeMs }) => [day, uptimeMs])).toEqual([...uptimeByDay(stored, toleranceMs)].sort());
    }),
    { numRuns: 50 },
  );
});

it("gives one installation one node, however often it registers", () => {
  expect(state.registerNode({ ...node("a"), installation: "same" }).clientid).toBe("a");
  expect(state.registerNode({ ...node("b"), installation: "same" }).clientid).toBe("a");
});

it("is closed to other accounts of the machine", () => {
  for (const name of ["network.sqlite", "network.sqlite-wal"])
    expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
});

it("is refused to a second process, in a sentence", () => {
  expect(() => openState(join(folder, "network.sqlite"))).toThrow(/held by another process/);
});
