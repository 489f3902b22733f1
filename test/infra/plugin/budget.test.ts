import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Demand } from "../../../infra/budget.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { budget } from "../../../infra/plugin/budget.ts";
import type { Around, Difference, Properties } from "../../../infra/plugin/resource.ts";
import { extra } from "../../harness/project.ts";
import { known } from "../known.ts";
import { planOf } from "../random-fleet.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "gl-"));
});
afterEach(() => rmSync(home, { recursive: true }));

/** Machines at $0.30 a month each and a shed at $0.03; a budget of $1.50 has room for four. */
function demand(garden: number, yard: number, budgetUsdPerMonth = "1.50"): Demand {
  const shelf = { provider: "shed", size: "shelf", workload: "pulse", network: null };
  const groups = {
    garden: { ...shelf, region: "garden", count: garden },
    yard: { ...shelf, region: "garden", count: yard },
  };
  const fleet = { schema: 1, groups, phase: "study", phases: { study: { budgetUsdPerMonth } } };
  const { demand: wanted } = planOf(fleet, known);
  return wanted ?? { phase: null, phases: {}, ledgerAgeDays: 90, accounts: {}, groups: {}, host: null };
}

interface Run {
  readonly refused: readonly string[];
  readonly kept: Properties;
  readonly difference: Difference;
  readonly said: readonly string[];
}

/** What the engine asks in one run: a check against the state, and once more against nothing where it replaces. */
function run(state: Properties | undefined, wanted: Demand, folder = home): Run {
  const resource = budget(join(checkout, "infra"), extra);
  const said: string[] = [];
  const around: Around = {
    home: folder,
    say: (text) => said.push(text),
    show: (text) => said.push(text),
    now: () => new Date("2026-12-01T00:00:00Z"),
  };
  const check = (before: Properties | undefined): Pick<Run, "refused" | "kept"> => {
    resource.notice?.(before, wanted, around);
    const refused = (resource.refuse?.(before, wanted, around) ?? []).map(({ message, fix }) => `${message} ${fix}`);
    return { refused, kept: JSON.parse(JSON.stringify(resource.kept?.(before, wanted, around))) };
  };
  const { refused, kept } = check(state);
  const difference = state === undefined ? { updates: [], replaces: [] } : resource.difference(state, kept as never);
  if (difference.replaces.length > 0) expect(check({})).toEqual({ refused, kept });
  return { refused, kept, difference, said };
}
/** The engine deletes a record that was replaced, once all that depended on it is gone. */
async function gone(state: Properties, folder = home): Promise<void> {
  const around: Around = { home: folder, say: () => undefined, show: () => undefined, now: () => new Date(0) };
  await budget(join(checkout, "infra"), extra).delete("budget", state, around);
}

describe("the record of what was accepted", () => {
  it("is raised in place, and an unchanged one stays as it is", () => {
    const first = run(undefined, demand(1, 0)).kept;
    expect(run(first, demand(1, 0))).toMatchObject({
      refused: [],
      kept: first,
      difference: { updates: [], replaces: [] },
    });
    const more = run(first, demand(3, 0));
    expect(more.refused).toEqual([]);
    expect(more.difference.replaces).toEqual([]);
    expect(more.difference.updates).not.toEqual([]);
    expect(more.kept.held).toBeUndefined();
  });

  it("gives way to another one where something is lowered, is deleted last, and is told of once", () => {
    const four = run(undefined, demand(4, 0)).kept;
    const lower = run(four, demand(1, 0));
    expect(lower.difference).toMatchObject({ replaces: ["record"], deletedLast: true });
    expect(lower.kept).toMatchObject({
      after: four.record,
      held: { accounts: {}, parts: { shed: { "group garden": { "machine@garden": 4 } } } },
    });
    expect(lower.said.filter((text) => text.startsWith("What the fleet costs"))).toHaveLength(1);
  });

  it("counts what may be left until the engine has deleted the old one: kept, and on top of what is new", async () => {
    const four = run(undefined, demand(4, 0)).kept;
    const { kept: open } = run(four, demand(1, 0));
    for (const garden of [0, 1, 2, 3, 4]) expect(run(open, demand(garden, 0, "0.10")).refused).toEqual([]);
    const [refusal = "", ...others] = run(open, demand(0, 4)).refused;
    expect(others).toEqual([]);
    expect(refusal).toMatch(
      /^The fleet would cost \$2\.43 in a month of 31 days, and the phase study has \$1\.50 a month\. It counts what an earlier change was to remove and may not have yet\. Set gradientlab:fleet\.groups\.yard\.count to 0\. Or set /,
    );
    await gone(four);
    expect(run(open, demand(0, 4)).refused).toEqual([]);
    expect(run(open, demand(1, 0)).difference.updates).toEqual([]);
    expect(run(open, demand(2, 0, "0.10")).refused).toHaveLength(1);
  });

  it("is settled from a home that did not see the old one go, by an up of the same counts", async () => {
    const four = run(undefined, demand(4, 0)).kept;
    const { kept: open } = run(four, demand(1, 0));
    await gone(four);
    const elsewhere = mkdtempSync(join(tmpdir(), "gl-"));
    const again = run(open, demand(1, 0), elsewhere);
    expect(again.difference.replaces).toEqual(["record"]);
    await gone(open, elsewhere);
    expect(run(again.kept, demand(1, 0), elsewhere).difference.updates).toEqual([]);
    expect(run(again.kept, demand(2, 0, "0.10"), elsewhere).refused).toHaveLength(1);
    rmSync(elsewhere, { recursive: true });
  });
});
