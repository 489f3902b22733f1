import { describe, expect, it } from "vitest";
import { parseConfig } from "../../infra/config.ts";
import { type Attempt, searchPlacement } from "../../infra/placement-search.ts";
import { planFleet } from "../../infra/plan.ts";
import type { Placement } from "../../infra/providers/provider.ts";
import { known } from "./known.ts";

/** What the engine prints where these resources fail, each with what its provider said. */
function diagnostics(failures: Readonly<Record<string, string>>): string {
  const parts = Object.entries(failures).map(
    ([name, text]) =>
      `  oci:Core:Instance (${name}):\n    error: 1 error occurred:\n    \t* creating ${name}: ${text}\n`,
  );
  return `Diagnostics:\n${parts.join("\n")}\n  pulumi:pulumi:Stack (gradientlab-dev):\n    error: update failed\n\nResources:\n    1 errored\n`;
}

const noHost = "500-InternalError, Out of host capacity.";

/** A fleet of two machines whose provider answers as `say` tells for each node and place. */
function searching(
  say: (key: string, place: Placement, at: number) => string | undefined,
  { forMs = 6 * 3_600_000, made = new Set<string>() } = {},
) {
  const placements: Record<string, Placement> = {};
  const attempts: Attempt[] = [];
  const ups: number[] = [];
  let ms = Date.UTC(2026, 10, 21, 12);
  const fleet = () => ({
    schema: 1,
    groups: {
      far: { provider: "oci", region: "us-phoenix-1", size: "a1-1-6", count: 2, workload: "sentry", network: null },
    },
    accounts: { oci: { id: "ocid1.tenancy.oc1..aaaa" } },
    placements,
  });
  const plan = async () => planFleet(parseConfig({ "gradientlab:fleet": JSON.stringify(fleet()) }, known), known);
  const run = searchPlacement({
    stack: "dev",
    providers: known.providers,
    plan,
    async up() {
      ups.push(ms);
      const failed = (await plan()).nodes.flatMap(({ spec }) => {
        const text = say(spec.key, spec.placement as Placement, ms);
        return text === undefined ? [] : [[spec.key, text]];
      });
      ms += 5000;
      return failed.length === 0
        ? { code: 0, output: "" }
        : { code: 255, output: diagnostics(Object.fromEntries(failed)) };
    },
    made: async () => made,
    place: async (next) => void Object.assign(placements, Object.fromEntries(next)),
    record: async (more) => void attempts.push(...more),
    say: () => undefined,
    now: () => ms,
    sleep: async (wait) => {
      ms += wait;
    },
    forMs,
  });
  return { run, placements, attempts, ups };
}

describe("the search for room", () => {
  it("takes the next domain until one has room, keeps a node that was made, and notes every try", async () => {
    const search = searching((key, { domain }) => (key === "far/1" && domain !== "AD-3" ? noHost : undefined));
    expect((await search.run).code).toBe(0);
    expect(search.placements).toEqual({ "far/1": { domain: "AD-3", shape: "VM.Standard.A1.Flex" } });
    const tried = search.attempts.map(({ key, domain, outcome }) => `${key} ${domain} ${outcome}`);
    expect(tried.at(-1)).toBe("far/1 AD-3 made");
    expect(tried.slice(0, -1).every((line) => /^far\/1 AD-[12] no room$/.test(line))).toBe(true);
    expect(search.attempts[0]).toMatchObject({
      said: expect.stringContaining("Out of host capacity"),
      provider: "oci",
    });
  });

  it("asks once a minute at most and waits longer each time, up to a quarter of an hour", async () => {
    const search = searching((_key, _place, at) => (at < Date.UTC(2026, 10, 21, 14) ? noHost : undefined));
    await search.run;
    const gaps = search.ups.slice(1).map((at, index) => (at - (search.ups[index] ?? 0)) / 1000);
    expect(gaps.slice(0, 4)).toEqual([60, 90, 135, 202.5]);
    expect(gaps.every((gap, index) => gap >= (gaps[index - 1] ?? 60))).toBe(true);
    expect(Math.max(...gaps)).toBe(900);
  });

  it("stops at an account's limit, which no other place helps against, and says what to change", async () => {
    const search = searching(
      () => "400-LimitExceeded, The following service limits were exceeded: standard-a1-core-count.",
    );
    await expect(search.run).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringContaining("far/0 on oci: "),
      fix: expect.stringContaining("Lower the count"),
    });
    expect(search.ups).toHaveLength(1);
    expect(search.placements).toEqual({});
  });

  it("ends when its time is over, with the next place in the config", async () => {
    const search = searching(() => noHost, { forMs: 600_000 });
    await expect(search.run).rejects.toMatchObject({
      code: "no-capacity",
      message: expect.stringMatching(/no room for far\/0, far\/1 in \d+ tries over 10m/),
    });
    expect(Object.keys(search.placements)).toEqual(["far/0", "far/1"]);
    expect((search.ups.at(-1) ?? 0) - (search.ups[0] ?? 0)).toBeLessThanOrEqual(600_000);
  });

  it("moves no machine that is there, and looks no further where something else failed", async () => {
    const there = searching(() => noHost, { made: new Set(["oci:Core:Instance far/0", "oci:Core:Instance far/1"]) });
    expect((await there.run).code).toBe(255);
    expect(there.placements).toEqual({});
    const other = searching(() => "401-NotAuthenticated, The required information was not provided.");
    expect((await other.run).code).toBe(255);
    expect(other.ups).toHaveLength(1);
  });

  it("tries once where it has no time, and leaves the config as it is", async () => {
    const search = searching(() => noHost, { forMs: 0 });
    expect((await search.run).code).toBe(255);
    expect(search.placements).toEqual({});
  });
});
