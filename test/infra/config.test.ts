import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FleetConfig, parseConfig } from "../../infra/config.ts";
import { BadInput, type Problem } from "../../infra/problem.ts";
import { known } from "./known.ts";

const group = { provider: "local", size: "process", count: 3, workload: "sentry", network: "practice" };
const fleetOf = (groups: unknown, more: object = {}): unknown => ({ schema: 1, groups, ...more });
const parse = (fleet: unknown): FleetConfig => parseConfig({ "gradientlab:fleet": JSON.stringify(fleet) }, known);

function problemsOf(read: () => unknown): readonly Problem[] {
  try {
    read();
  } catch (error) {
    if (error instanceof BadInput) return error.problems;
    throw error;
  }
  throw new Error("it was accepted");
}
const mistakes = (fleet: unknown): readonly Problem[] => problemsOf(() => parse(fleet));
const inGroup = (change: object): Problem[] => [...mistakes(fleetOf({ home: { ...group, ...change } }))];
const shown = (problems: readonly Problem[]): string[] => problems.map(({ message, fix }) => `${message} ${fix}`);

describe("a config without mistakes", () => {
  it("is complete: what was left out is filled in, and groups are sorted", () => {
    const { groups, phase, collector } = parse(fleetOf({ home: group, attic: { ...group, network: null } }));
    expect(groups.map(({ name }) => name)).toEqual(["attic", "home"]);
    expect(groups[1]).toEqual({
      name: "home",
      ...group,
      region: "here",
      retired: [],
      stopped: [],
      label: null,
      revision: { machine: 1, software: 1 },
      maxUnavailable: 1,
      options: { mode: "process", everySeconds: 10 },
    });
    expect([phase, collector]).toEqual([null, "here"]);
  });

  it("is one group of the default provider in the short form", () => {
    const { groups } = parseConfig({ "gradientlab:count": "4" }, known);
    expect(groups).toMatchObject([
      { name: "default", ...group, count: 4, region: "here", options: { mode: "process", everySeconds: 10 } },
    ]);
    const shed = { "gradientlab:count": "2", "gradientlab:provider": "shed", "gradientlab:region": "yard" };
    expect(parseConfig(shed, known).groups).toMatchObject([{ provider: "shed", region: "yard", size: "bench" }]);
  });

  it.each(["{}", "null", ""])("is no node where the fleet is %j, and the short form may stand beside it", (fleet) => {
    expect(parseConfig({ "gradientlab:fleet": fleet }, known).groups).toEqual([]);
    expect(parseConfig({ "gradientlab:fleet": fleet, "gradientlab:count": "1" }, known).groups).toHaveLength(1);
    expect(parseConfig({ "gradientlab:secret": "anything" }, known).groups).toEqual([]);
  });

  it("carries what only clouds use, with money in micro-dollars and instants in UTC", () => {
    const more = {
      phase: "grant",
      phases: {
        grant: { start: "2026-11-01", end: "2027-05-01T02:00:00+02:00", then: "small", budgetUsdPerMonth: "83.33" },
        small: { budgetUsdPerMonth: 5, grantUsd: "0.000001", then: "wind-down", end: "2028-01-01" },
      },
      accounts: { local: "me" },
      access: { sshFrom: ["203.0.113.4/32", "198.51.100.0/24"], keys: { operator: ["ssh-ed25519 AAAAC3Nza me"] } },
      collector: { external: true },
      placements: { "home/0": { domain: "a", shape: "b" } },
      acknowledge: { gradient: true, gcp: "2026-11-20" },
    };
    const config = parse(fleetOf({ home: group }, more));
    expect(config.phases).toEqual({
      grant: {
        start: "2026-11-01T00:00:00.000Z",
        end: "2027-05-01T00:00:00.000Z",
        then: "small",
        budgetMicroUsdPerMonth: 83_330_000,
        grantMicroUsd: null,
      },
      small: {
        start: null,
        end: "2028-01-01T00:00:00.000Z",
        then: "wind-down",
        budgetMicroUsdPerMonth: 5_000_000,
        grantMicroUsd: 1,
      },
    });
    const { accounts, access, collector, placements, acknowledge } = config;
    expect({ accounts, access, collector, placements, acknowledge }).toEqual({
      accounts: { local: { id: "me", opened: null, free: {}, limits: {}, options: {} } },
      access: more.access,
      collector: "external",
      placements: more.placements,
      acknowledge: more.acknowledge,
    });
  });

  it("is the same whatever the order of its fields", () => {
    const fleet = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/), { maxLength: 6 });
    fc.assert(
      fc.property(fleet, fc.nat(1000), (names, count) => {
        const forward = fleetOf(Object.fromEntries(names.map((name) => [name, { ...group, count }])));
        const backward = reversed(forward);
        expect(parse(backward)).toEqual(parse(forward));
      }),
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe("a count that was once mistyped", () => {
  it("is read as the number that it is, though the engine's command keeps it text", () => {
    const config = parse(fleetOf({ home: { ...group, count: "4" } }));
    expect(config.groups[0]?.count).toBe(4);
    expect(shown(inGroup({ count: "10000" }))).toEqual([
      "gradientlab:fleet.groups.home.count is 10000. Write a whole number from 0 to 1000.",
    ]);
  });
});

describe("a count that is lowered", () => {
  it("is taken although a stopped slot lives no more", () => {
    const config = parse(fleetOf({ home: { ...group, count: 0, stopped: [0, 2] } }));
    expect(config.groups[0]).toMatchObject({ count: 0, stopped: [0, 2] });
  });
});

describe("a mistake", () => {
  const root = "gradientlab:fleet.groups.home";
  it.each([
    [{ count: -1 }, `${root}.count is -1. Write a whole number from 0 to 1000.`],
    [{ count: 2.5 }, `${root}.count is 2.5. Write a whole number from 0 to 1000.`],
    [{ count: "three" }, `${root}.count is "three". Write a whole number from 0 to 1000.`],
    [{ count: "2.5" }, `${root}.count is "2.5". Write a whole number from 0 to 1000.`],
    [{ count: 10000 }, `${root}.count is 10000. Write a whole number from 0 to 1000.`],
    [{ count: undefined }, `${root}.count is missing. Write a whole number from 0 to 1000.`],
    [
      { cuont: 3 },
      `${root}.cuont is not a known field. Did you mean count? Choose one of: count, label, maxUnavailable, network, options, provider, region, retired, revision, size, stopped, workload.`,
    ],
    [
      { provider: "locale" },
      `${root}.provider is "locale", which is not a known provider. Did you mean local? Choose one of: azure, gcp, local, oci, shed.`,
    ],
    [
      { workload: "sentri" },
      `${root}.workload is "sentri", which is not a known workload. Did you mean sentry? Choose one of: pulse, sentry.`,
    ],
    [
      { network: "gradiant" },
      `${root}.network is "gradiant", which is not a known network. Did you mean gradient? Choose one of: gradient, practice.`,
    ],
    [{ network: undefined }, `${root}.network is missing. Write the network's name, or null for none.`],
    [{ region: "yard" }, `${root}.region is "yard", which is not a region of local. Choose one of: here.`],
    [
      { size: "small" },
      `${root}.size is "small", which is not a size of local. Choose one of: machine, machine-arm64, process.`,
    ],
    [
      { size: { shape: "process", cpus: 0, memoryGib: 1, diskGib: 1 } },
      `${root}.size.cpus is 0. Write a whole number from 1 to 256.`,
    ],
    [{ size: 4 }, `${root}.size is 4. Write the name of a size, or {shape, cpus, memoryGib, diskGib}.`],
    [{ retired: [1, 4, 1] }, `${root}.retired.2 is 1, which stands there twice. Name the slot 1 once.`],
    [{ retired: [0.5] }, `${root}.retired.0 is 0.5. Write a whole number from 0 to 999999.`],
    [
      { options: { everySecond: 3 } },
      `${root}.options.everySecond is not a known field. Did you mean everySeconds? Choose one of: everySeconds, mode.`,
    ],
    [
      { options: { everySeconds: 0 } },
      `${root}.options.everySeconds is 0. Write a whole number of seconds from 1 to 3600.`,
    ],
    [{ revision: { machine: 1 } }, `${root}.revision.software is missing. Write a whole number from 1 to 1000000.`],
  ])("in a group, %j, is one sentence with the field, the value and the fix", (change, sentence) => {
    expect(shown(inGroup(change))).toEqual([sentence]);
  });

  it("names the workload's networks where the network is another workload's", () => {
    const workloads = new Map(known.workloads);
    const pulse = workloads.get("pulse");
    if (pulse === undefined) throw new Error("no workload pulse");
    workloads.set("pulse", { ...pulse, networks: [] });
    const fleet = JSON.stringify(fleetOf({ home: { ...group, workload: "pulse" } }));
    expect(shown(problemsOf(() => parseConfig({ "gradientlab:fleet": fleet }, { ...known, workloads })))).toEqual([
      `${root}.network is "practice", and the workload pulse does not earn from it. Write null.`,
    ]);
  });

  it.each([
    [
      { phases: { a: { budgetUsdPerMonth: 83.33 } } },
      `phases.a.budgetUsdPerMonth is 83.33. Put the amount in quotes, "83.33", so that no digit is lost.`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: "1.0000001" } } },
      `phases.a.budgetUsdPerMonth is "1.0000001". Write an amount of dollars: a whole number, or a decimal in quotes such as "83.33".`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: -1 } } },
      `phases.a.budgetUsdPerMonth is -1. Write an amount of dollars: a whole number, or a decimal in quotes such as "83.33".`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: 1, start: "2026-02-30" } } },
      `phases.a.start is "2026-02-30". Write a date such as 2026-12-31, or an instant such as 2026-12-31T18:00:00Z, in quotes.`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: 1, start: "2027-01-01", end: "2026-01-01" } } },
      `phases.a.end is 2026-01-01, which is not after its start 2027-01-01. Write an end after the start.`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: 1, end: "2027-01-01", then: "b" } } },
      `phases.a.then is "b", which is not one of the phases. Did you mean a? Choose one of: a, wind-down.`,
    ],
    [
      { phases: { a: { budgetUsdPerMonth: 1, then: "wind-down" } } },
      `phases.a.then is "wind-down", and the phase has no end. Write gradientlab:fleet.phases.a.end, or remove then.`,
    ],
    [{ phase: "x" }, `phase is "x", which is not one of the phases. Describe it under gradientlab:fleet.phases.`],
    [
      { collector: { host: { provider: "shed", region: "barn", size: "box" } } },
      `collector.host asks for a machine, and the provider shed has none. Remove gradientlab:fleet.collector to run the collector here, or write {external: true} where it runs elsewhere.`,
    ],
    [
      { collector: {} },
      `collector is empty. Write {host: {provider, region, size}} or {external: true}, or remove it.`,
    ],
    [
      { collector: { external: true, host: { provider: "local", region: "here", size: "process" } } },
      `collector has host and external, and a collector runs in one place. Keep one of the two.`,
    ],
    [
      { accounts: { lokal: "x" } },
      `accounts.lokal is "lokal", which is not a known provider. Did you mean local? Choose one of: azure, gcp, local, oci, shed.`,
    ],
    [
      { placements: { home: { domain: "a", shape: "b" } } },
      `placements.home does not name a node. Write a node's key, <group>/<slot>, such as home/0.`,
    ],
    [
      { access: { sshFrom: ["10.0.0.0/40"] } },
      `access.sshFrom.0 is "10.0.0.0/40". Write a range of addresses, such as 203.0.113.4/32.`,
    ],
    [
      { access: { sshFrom: ["10.0.0.0/8"], keys: { operator: ["-----BEGIN OPENSSH PRIVATE KEY-----"] } } },
      `access.keys.operator.0 is "-----BEGIN OPENSSH PRIVATE KEY-----". Write an OpenSSH public key, such as the text of id_ed25519.pub.`,
    ],
    [{ schema: 2 }, `schema is 2. Write 1, the version of the config that this release reads.`],
  ])("outside the groups, %j, is one sentence too", (more, sentence) => {
    expect(shown(mistakes(fleetOf({ home: group }, more)))).toEqual([`gradientlab:fleet.${sentence}`]);
  });

  it("is each phase of a circle, and a phase that begins before the one it follows ends", () => {
    const phase = (then: string) => ({ budgetUsdPerMonth: 1, end: "2027-01-01", then });
    expect(shown(mistakes(fleetOf({}, { phases: { a: phase("b"), b: phase("a"), c: phase("a") } })))).toEqual([
      `gradientlab:fleet.phases.a.then is "b", which leads back to a: a → b → a. Let one of them end in wind-down, or have no then.`,
      `gradientlab:fleet.phases.b.then is "a", which leads back to b: b → a → b. Let one of them end in wind-down, or have no then.`,
    ]);
    const late = { budgetUsdPerMonth: 1, start: "2026-12-31" };
    expect(shown(mistakes(fleetOf({}, { phases: { a: phase("b"), b: late } })))).toEqual([
      "gradientlab:fleet.phases.b.start is 2026-12-31, before the end 2027-01-01 of the phase a that it follows. Write a start at or after that end.",
    ]);
  });

  it.each(["Home", "1st", "a_b", "a".repeat(21), ""])("is a group named %j", (name) => {
    expect(shown(mistakes(fleetOf({ [name]: group })))).toEqual([
      expect.stringContaining("Choose a name of at most 20 lower-case letters, digits and hyphens"),
    ]);
  });

  it("is a secret in a value that the inventory shows", () => {
    const raw = { "gradientlab:fleet": JSON.stringify(fleetOf({ home: group })) };
    expect(shown(problemsOf(() => parseConfig(raw, known, ["gradientlab:fleet", "gradientlab:secret"])))).toEqual([
      "gradientlab:fleet is set encrypted, and the inventory would show it in plain text. Set it again without --secret; of all fields only gradientlab:secret is a secret.",
    ]);
  });

  it.each([
    [
      "both forms together",
      { "gradientlab:count": "1", "gradientlab:fleet": JSON.stringify(fleetOf({})) },
      [
        "gradientlab:count is the short form of the config, and gradientlab:fleet is set too. Keep one of the two: run `npx pulumi config rm gradientlab:count`, or `npx pulumi config rm gradientlab:fleet`.",
      ],
    ],
    [
      "a short form that is no number",
      { "gradientlab:count": "three" },
      ["gradientlab:count is three. Write a whole number from 0 to 1000."],
    ],
    [
      "a short form below 0",
      { "gradientlab:count": "-1" },
      ["gradientlab:count is -1. Write a whole number from 0 to 1000."],
    ],
    [
      "a short form above 1000",
      { "gradientlab:count": "1001" },
      ["gradientlab:count is 1001. Write a whole number from 0 to 1000."],
    ],
    [
      "a provider without a count",
      { "gradientlab:provider": "local" },
      [
        "gradientlab:count is missing, and gradientlab:provider and gradientlab:region belong to it. Run `npx pulumi config set gradientlab:count 3`.",
      ],
    ],
    [
      "a provider and a region that are not known",
      { "gradientlab:count": "1", "gradientlab:provider": "shed", "gradientlab:region": "gardn" },
      [
        `gradientlab:region is "gardn", which is not a region of shed. Did you mean garden? Choose one of: garden, yard.`,
      ],
    ],
    [
      "a region that has to be named",
      { "gradientlab:count": "1", "gradientlab:provider": "shed" },
      ["gradientlab:region is missing. Name a region of shed."],
    ],
    [
      "an unknown field beside the fleet",
      { "gradientlab:flet": "{}" },
      [
        "gradientlab:flet is not a known field. Did you mean gradientlab:fleet? Choose one of: gradientlab:count, gradientlab:fleet, gradientlab:provider, gradientlab:region, gradientlab:secret.",
      ],
    ],
    [
      "a fleet that is a text",
      { "gradientlab:fleet": "three" },
      [`gradientlab:fleet is "three". Write the fleet as fields: {schema: 1, groups: {…}}.`],
    ],
    [
      "a fleet that is a list",
      { "gradientlab:fleet": "[1]" },
      ["gradientlab:fleet is [1]. Write the fleet as fields: {schema: 1, groups: {…}}."],
    ],
  ])("is %s", (_, raw, sentences) => {
    expect(shown(problemsOf(() => parseConfig(raw as Record<string, string>, known)))).toEqual(sentences);
  });

  it("leaves keys of other projects alone", () => {
    expect(parseConfig({ "oci:region": "x", "gradientlab:count": "0" }, known).groups).toHaveLength(1);
  });
});

describe("several mistakes", () => {
  /** Mistakes that a group may have, each in fields of its own, with the path that has to be named. */
  const groupMistakes = [
    { change: { provider: "cloudy" }, path: "provider" },
    { change: { workload: "miner" }, path: "workload" },
    { change: { network: 7 }, path: "network" },
    { change: { region: "" }, path: "region" },
    { change: { count: -1 }, path: "count" },
    { change: { count: 2.5 }, path: "count" },
    { change: { count: "three" }, path: "count" },
    { change: { count: 10_000 }, path: "count" },
    { change: { count: undefined }, path: "count" },
    { change: { retired: [3, 3] }, path: "retired.1" },
    { change: { retired: "3" }, path: "retired" },
    { change: { stopped: [7, 7] }, path: "stopped.1" },
    { change: { label: 5 }, path: "label" },
    { change: { maxUnavailable: 0 }, path: "maxUnavailable" },
    { change: { revision: { machine: 1, software: 0 } }, path: "revision.software" },
    { change: { size: [] }, path: "size" },
    { change: { colour: "red" }, path: "colour" },
  ] as const;
  const fleetMistakes = [
    { change: { schema: "1" }, path: "schema" },
    { change: { phase: "none" }, path: "phase" },
    { change: { accounts: [] }, path: "accounts" },
    { change: { acknowledge: { terms: "yes" } }, path: "acknowledge.terms" },
    { change: { collector: { external: false } }, path: "collector.external" },
    { change: { nodes: 3 }, path: "nodes" },
  ] as const;
  const field = ({ change }: { change: object }): string => Object.keys(change).join();

  it("are all reported, each once, in the order of their paths, and nothing else is", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/);
    const some = fc.uniqueArray(fc.constantFrom(...groupMistakes), { selector: field });
    const groups = fc.uniqueArray(fc.tuple(name, some), { selector: ([key]) => key, minLength: 1, maxLength: 4 });
    const others = fc.uniqueArray(fc.constantFrom(...fleetMistakes), { selector: field });
    fc.assert(
      fc.property(groups, others, (wrongGroups, wrong) => {
        const expected = [
          ...wrong.map(({ path }) => path),
          ...wrongGroups.flatMap(([key, of]) => of.map(({ path }) => `groups.${key}.${path}`)),
        ].map((path) => `gradientlab:fleet.${path}`);
        fc.pre(expected.length > 0);
        const made = wrongGroups.map(([key, of]) => [
          key,
          Object.assign({ ...group, count: 10 }, ...of.map(({ change }) => change)),
        ]);
        const fleet = Object.assign(fleetOf(Object.fromEntries(made)) as object, ...wrong.map(({ change }) => change));
        const problems = mistakes(fleet);
        expect(problems.map(({ path }) => path)).toEqual(expected.toSorted());
        for (const { message, fix, path } of problems) {
          expect(message.startsWith(path)).toBe(true);
          expect(`${message} ${fix}`).toMatch(/^[^\n]+\.$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("what a config may not ask for", () => {
  it("is SSH open to the world, unless that is acknowledged", () => {
    const open = { access: { sshFrom: ["203.0.113.4/32", "0.0.0.0/0", "8.0.0.0/7"] } };
    expect(mistakes(fleetOf({}, open)).map(({ path }) => path)).toEqual([
      "gradientlab:fleet.access.sshFrom.1",
      "gradientlab:fleet.access.sshFrom.2",
    ]);
    expect(parse(fleetOf({}, { ...open, acknowledge: { sshFromAnywhere: true } })).access?.sshFrom).toHaveLength(3);
  });

  it("is SSH from IPv6 addresses, which machines do not have, acknowledged or not", () => {
    const six = {
      access: { sshFrom: ["203.0.113.4/32", "2001:db8::/64", "::/0"] },
      acknowledge: { sshFromAnywhere: true },
    };
    expect(mistakes(fleetOf({}, six)).map(({ message, fix }) => `${message} ${fix}`)).toEqual(
      [
        ["1", "2001:db8::/64"],
        ["2", "::/0"],
      ].map(
        ([index, range]) =>
          `gradientlab:fleet.access.sshFrom.${index} is "${range}". Write a range of IPv4 addresses, such as 203.0.113.4/32: machines have no IPv6 address, and this would open nothing.`,
      ),
    );
  });

  it.each(["proxy", "httpProxy", "vpn", "userAgent", "user-agent", "hideAutomation", "stealth", "captchaKey"])(
    "is a disguise: %s",
    (name) => {
      for (const problem of [
        ...inGroup({ [name]: "x" }),
        ...inGroup({ options: { [name]: "x" } }),
        ...mistakes(fleetOf({}, { [name]: 1 })),
      ]) {
        expect(problem.message).toMatch(/is not a known field\.$/);
        expect(problem.fix).toMatch(/^Remove it: a node shows itself as what it is/);
      }
    },
  );

  it("is more than one account of a provider", () => {
    expect(shown(mistakes(fleetOf({}, { accounts: { oci: ["a", "b"] } })))).toEqual([
      'gradientlab:fleet.accounts.oci is ["a","b"]. Name one account: a stack has one for each provider, and a free tier is not multiplied by several.',
    ]);
  });
});

it("refuses to acknowledge what nobody asks for, and names what was meant", () => {
  const fleet = { schema: 1, groups: {}, acknowledge: { gpc: true, oci: "2026-11-21", sshFromAnywhere: true } };
  expect(mistakes(fleet).map(({ message, fix }) => `${message} ${fix}`)).toEqual([
    "gradientlab:fleet.acknowledge.gpc is nothing to acknowledge. Did you mean gcp? Choose one of: azure, gcp, gradient, oci, sshFromAnywhere.",
  ]);
});

it("reports thirty mistakes as thirty, each with its path, its value and a fix", () => {
  const wrong = {
    schema: 2,
    groups: {
      Big: group,
      one: {
        provider: "ocy",
        region: 5,
        size: "small",
        count: -1,
        retired: [1, 1],
        workload: "miner",
        network: "gradiant",
      },
      two: {
        provider: "oci",
        region: "us-ashburn-2",
        size: "a1",
        count: 2.5,
        stopped: "0",
        workload: "sentry",
        network: 4,
      },
      three: {
        ...group,
        options: { everySeconds: 0, proxy: "socks5://x" },
        maxUnavailable: 0,
        colour: "red",
      },
    },
    phase: "pilott",
    phases: { pilot: { budgetUsdPerMonth: 83.33, end: "soon" }, grant: { budgetUsdPerMonth: "1,000" } },
    accounts: { oci: ["a", "b"], gcp: { id: "x", opened: "May" } },
    access: { sshFrom: ["0.0.0.0/0", "here"], keys: { operator: ["-----BEGIN OPENSSH PRIVATE KEY-----"] } },
    collector: { host: { provider: "gcp", region: "mars", size: "e2-mega" } },
    placements: { one: { domain: "AD-1", shape: "x" } },
    acknowledge: { terms: "yes" },
  };
  const problems = mistakes(wrong);
  expect(problems.map(({ path }) => path.replace("gradientlab:fleet.", ""))).toEqual([
    ...["access.keys.operator.0", "access.sshFrom.0", "access.sshFrom.1", "accounts.gcp.opened", "accounts.oci"],
    ...["acknowledge.terms", "collector.host.region", "collector.host.size", "groups.Big", "groups.one.count"],
    ...[
      "groups.one.network",
      "groups.one.provider",
      "groups.one.region",
      "groups.one.retired.1",
      "groups.one.workload",
    ],
    ...["groups.three.colour", "groups.three.maxUnavailable", "groups.three.options.everySeconds"],
    ...["groups.three.options.proxy", "groups.two.count", "groups.two.network", "groups.two.region", "groups.two.size"],
    ...["groups.two.stopped", "phase", "phases.grant.budgetUsdPerMonth", "phases.pilot.budgetUsdPerMonth"],
    ...["phases.pilot.end", "placements.one", "schema"],
  ]);
  expect(problems).toHaveLength(30);
  for (const { path, value, message, fix } of problems) {
    expect(value).toBeDefined();
    expect(message.startsWith(path)).toBe(true);
    expect(`${message} ${fix}`).toMatch(/^[^\n]+\.$/);
  }
});
