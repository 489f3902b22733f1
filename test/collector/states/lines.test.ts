import { describe, expect, it } from "vitest";
import type { JournalLine } from "../../../cloud-init/agent/line.ts";
import { foldLines, type LineRules, silentFrom } from "../../../collector/states/lines.ts";

const rules: LineRules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

function line(n: number, second: number, rest: Partial<JournalLine>): JournalLine {
  return { v: 1, j: "j1", n, boot: "b", at: at(second), mono_ms: second * 1000, kind: "sample", every_s: 10, ...rest };
}
const event = (n: number, second: number, name: string, detail: object = {}): JournalLine =>
  line(n, second, { kind: "event", event: { name, ...detail } });

const told = (lines: readonly JournalLine[]): string[] =>
  foldLines(null, lines, rules).changes.map(
    ({ layer, value, at: when, reason }) => `${when.getUTCSeconds()} ${layer} ${value}: ${reason}`,
  );

describe("the fold of a journal's lines", () => {
  it("takes runtime and app down with the event of the unit's exit, at the event's own instant", () => {
    expect(told([event(1, 3, "unit-exited", { unit: "browser", code: null, signal: "SIGKILL" })])).toEqual([
      "3 runtime down: browser ended by SIGKILL",
      "3 app down: browser ended by SIGKILL",
    ]);
  });

  it("knows nothing of the browser yet when the node has just booted", () => {
    expect(told([event(1, 3, "boot")])).toEqual([
      "3 machine up: booted",
      "3 runtime unknown: starting",
      "3 app unknown: starting",
    ]);
  });

  it("ignores the events of units that are no layer, and events it does not know", () => {
    expect(told([event(1, 1, "unit-exited", { unit: "display" }), event(2, 2, "solar-eclipse")])).toEqual([]);
  });

  it("says nothing of what a sample did not measure", () => {
    expect(told([line(1, 1, {})])).toEqual(["1 machine up: samples arrive"]);
  });

  it("says unknown, with the code, of what a sample failed to measure", () => {
    expect(told([line(1, 1, { errors: [{ field: "app", code: "no-endpoint" }] })])).toContain(
      "1 app unknown: not measured: no-endpoint",
    );
  });

  it("calls an app with a late heartbeat degraded until a look finds a fresh one", () => {
    const runtime = { state: "up" } as const;
    const seen = told([
      line(1, 1, { runtime, app: { state: "up", looked: true, heartbeat_age_s: 300 } }),
      line(2, 11, { runtime, app: { state: "up" } }),
      line(3, 21, { runtime, app: { state: "up", looked: true, heartbeat_age_s: 4 } }),
    ]).filter((text) => text.includes(" app "));
    expect(seen).toEqual([
      "1 app degraded: last heartbeat 300 s ago",
      "11 app degraded: its heartbeat is late",
      "21 app up: runs",
    ]);
  });

  it("calls a stretch without samples unknown from three distances on, and reports it as missing", () => {
    const folded = foldLines(null, [line(1, 0, {}), line(2, 50, {})], rules);
    expect(folded.missing).toEqual([{ from: new Date(at(0)), to: new Date(at(50)) }]);
    expect(folded.changes.map(({ value, at: when }) => [when.getUTCSeconds(), value])).toEqual([
      [0, "up"],
      [30, "unknown"],
      [30, "unknown"],
      [30, "unknown"],
      [50, "up"],
    ]);
  });

  it("expects no samples of a node that said it was being stopped, until it boots again", () => {
    const stopped = foldLines(
      null,
      [
        line(1, 0, {}),
        event(2, 5, "stopping"),
        line(3, 6, {}),
        event(4, 7, "unit-exited", { unit: "browser", code: 0 }),
      ],
      rules,
    );
    expect(silentFrom(stopped.memory)).toBeNull();
    expect(stopped.changes.at(-1)).toMatchObject({ layer: "app", value: "down" });
    const back = foldLines(stopped.memory, [event(5, 50, "boot")], rules);
    expect(back.missing).toEqual([]);
    expect(silentFrom(back.memory)).toEqual(new Date(Date.UTC(2026, 0, 1, 0, 1, 20)));
  });

  it("gives the same changes for the same lines however they are cut into parts", () => {
    const lines = [
      event(1, 0, "boot"),
      event(2, 1, "unit-started", { unit: "browser" }),
      line(3, 2, { runtime: { state: "up" }, app: { state: "up", heartbeat_age_s: 300 } }),
      line(4, 12, { runtime: { state: "up" }, app: { state: "up" } }),
      event(5, 15, "stopping"),
      event(6, 58, "boot"),
    ];
    const whole = foldLines(null, lines, rules);
    let memory: typeof whole.memory = null;
    const parts = lines.flatMap((one) => {
      const folded = foldLines(memory, [one], rules);
      memory = folded.memory;
      return folded.changes;
    });
    expect(parts).toEqual(whole.changes);
    expect(memory).toEqual(whole.memory);
  });

  it("takes restarts and memory from the last sample that measured them", () => {
    const folded = foldLines(
      null,
      [line(1, 1, { runtime: { state: "up", restarts: 2, pss_bytes: 5_000_000_000 } }), event(2, 2, "action")],
      rules,
    );
    expect(folded.latest).toEqual({ at: new Date(at(1)), restarts: 2, pssBytes: 5_000_000_000 });
  });

  it("hears a node's own id in its network from samples and from the event of a change", () => {
    const folded = foldLines(
      null,
      [line(1, 1, { app: { network_node_id: "a" } }), event(2, 2, "network-node-changed", { from: "a", to: "b" })],
      rules,
    );
    expect(folded.identities.map(({ networkNodeId, n }) => [networkNodeId, n])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });
});
