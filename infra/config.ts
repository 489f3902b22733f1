import type { z } from "zod";
import type { WorkloadDescriptor } from "../cloud-init/workloads/descriptor.ts";
import { bootChoice } from "./boot.ts";
import { microUsd } from "./money.ts";
import { networkTerms } from "./network-terms.ts";
import { windDown } from "./phase.ts";
import { BadInput, type Problem, problemsOf, quoted } from "./problem.ts";
import type { ProviderFacts } from "./providers/provider.ts";
import { Fleet, groupNamePattern, nodeKeyPattern } from "./stack-config.ts";
import { chooseOf } from "./suggestion.ts";

/** What the config may name: the providers and workloads that were found. Networks are those of the workloads. */
export interface Known {
  readonly providers: ReadonlyMap<string, ProviderFacts>;
  readonly workloads: ReadonlyMap<string, WorkloadDescriptor>;
}

/** A machine described by its parts instead of by a size's name. */
export interface CustomSize {
  readonly shape: string;
  readonly cpus: number;
  readonly memoryGib: number;
  readonly diskGib: number;
}

/** One group, with everything that may be left out filled in. */
export interface GroupConfig {
  readonly name: string;
  readonly provider: string;
  readonly region: string;
  readonly size: string | CustomSize;
  readonly count: number;
  readonly retired: readonly number[];
  readonly stopped: readonly number[];
  readonly label: string | null;
  readonly workload: string;
  readonly network: string | null;
  readonly revision: { readonly machine: number; readonly software: number };
  readonly maxUnavailable: number;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A stretch of time with a budget. Instants are RFC 3339 UTC, money is micro-dollars. */
export interface PhaseConfig {
  readonly start: string | null;
  readonly end: string | null;
  readonly then: string | null;
  readonly budgetMicroUsdPerMonth: number;
  readonly grantMicroUsd: number | null;
}

/** One account of a provider: a tenancy, a billing account, a subscription. */
export interface AccountConfig {
  readonly id: string;
  /** The day (UTC) it was opened, from which a free period of months runs; null where it is not said. */
  readonly opened: string | null;
  /** Free allowances and limits by quantity, in place of the ledger's. */
  readonly free: Readonly<Record<string, number>>;
  readonly limits: Readonly<Record<string, number>>;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A machine of the collector's own. */
export interface CollectorHost {
  readonly provider: string;
  readonly region: string;
  readonly size: string;
}

/** The stack config, checked and complete. Groups are sorted by name. */
export interface FleetConfig {
  readonly groups: readonly GroupConfig[];
  readonly phase: string | null;
  readonly phases: Readonly<Record<string, PhaseConfig>>;
  /** By provider; one that is not named has an account without an id. */
  readonly accounts: Readonly<Record<string, AccountConfig>>;
  readonly access: Fleet["access"] | null;
  readonly collector: "here" | "external" | CollectorHost;
  readonly placements: Readonly<Record<string, { readonly domain: string; readonly shape: string }>>;
  readonly acknowledge: Readonly<Record<string, true | string>>;
  /** Days after which an entry of a ledger is called old. */
  readonly ledgerAgeDays: number;
}

const namespace = "gradientlab";
const fleetKey = `${namespace}:fleet`;
const keys = {
  fleet: fleetKey,
  count: `${namespace}:count`,
  provider: `${namespace}:provider`,
  region: `${namespace}:region`,
  secret: `${namespace}:secret`,
} as const;

/** What the short form stands for, beside the default provider. */
const shortForm = { group: "default", workload: "sentry", network: "practice" } as const;

const noFleet: FleetConfig = {
  groups: [],
  phase: null,
  phases: {},
  accounts: {},
  access: null,
  collector: "here",
  placements: {},
  acknowledge: {},
  ledgerAgeDays: 90,
};

/**
 * Reads the stack config. `raw` is what the engine hands over: texts by full name, a structured value as JSON;
 * `secret` the names of those that were set encrypted. An empty fleet counts as absent, and no config is no node.
 * Throws `BadInput` with every mistake at once, in the order of their paths.
 */
export function parseConfig(
  raw: Readonly<Record<string, string>>,
  known: Known,
  secret: Iterable<string> = [],
): FleetConfig {
  const problems: Problem[] = [...unknownKeys(raw)];
  for (const key of secret)
    if (key.startsWith(`${namespace}:`) && key !== keys.secret)
      problems.push({
        path: key,
        value: undefined,
        message: `${key} is set encrypted, and the inventory would show it in plain text.`,
        fix: `Set it again without --secret; of all fields only ${keys.secret} is a secret.`,
      });

  const fleet = fleetValue(raw[keys.fleet], problems);
  const short = [keys.count, keys.provider, keys.region].filter((key) => raw[key] !== undefined);
  let config = noFleet;
  if (fleet !== undefined && short.length > 0) {
    for (const key of short)
      problems.push({
        path: key,
        value: quoted(raw[key]),
        message: `${key} is the short form of the config, and ${keys.fleet} is set too.`,
        fix: `Keep one of the two: run \`npx pulumi config rm ${key}\`, or \`npx pulumi config rm ${keys.fleet}\`.`,
      });
  } else if (short.length > 0) {
    config = { ...noFleet, groups: shortGroup(raw, known, problems) };
  }
  if (fleet !== undefined) {
    const parsed = Fleet.safeParse(fleet);
    if (!parsed.success) problems.push(...schemaProblems(parsed.error, fleet));
    problems.push(...fleetProblems(fleet, known));
    if (parsed.success && problems.length === 0) config = complete(parsed.data, known);
  }
  if (problems.length > 0) throw new BadInput("The stack config", inOrder(problems));
  return config;
}

/** One problem for each path, ordered by path: where two checks see the same field, the first has the better words. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const first = new Map<string, Problem>();
  for (const problem of problems) if (!first.has(problem.path)) first.set(problem.path, problem);
  return [...first.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function unknownKeys(raw: Readonly<Record<string, string>>): Problem[] {
  const known: readonly string[] = Object.values(keys);
  return Object.keys(raw)
    .filter((key) => key.startsWith(`${namespace}:`) && !known.includes(key))
    .map((key) => ({
      path: key,
      value: quoted(raw[key]),
      message: `${key} is not a known field.`,
      fix: chooseOf("field", key, known),
    }));
}

function fleetValue(text: string | undefined, problems: Problem[]): unknown {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    value = text;
  }
  if (isFields(value)) return Object.keys(value).length === 0 ? undefined : withCounts(value);
  if (value === null || value === "") return undefined;
  problems.push({
    path: keys.fleet,
    value: quoted(value),
    message: `${keys.fleet} is ${quoted(value)}.`,
    fix: "Write the fleet as fields: {schema: 1, groups: {…}}.",
  });
  return undefined;
}

function shortGroup(raw: Readonly<Record<string, string>>, known: Known, problems: Problem[]): GroupConfig[] {
  const before = problems.length;
  const text = raw[keys.count];
  const count = Number(text);
  if (text === undefined)
    problems.push({
      path: keys.count,
      value: undefined,
      message: `${keys.count} is missing, and ${keys.provider} and ${keys.region} belong to it.`,
      fix: `Run \`npx pulumi config set ${keys.count} 3\`.`,
    });
  else if (!/^[0-9]{1,4}$/.test(text) || count > 1000)
    problems.push({
      path: keys.count,
      value: quoted(text),
      message: `${keys.count} is ${text}.`,
      fix: "Write a whole number from 0 to 1000.",
    });

  const fallback = [...known.providers.values()].find((facts) => facts.default);
  const name = raw[keys.provider] ?? fallback?.name ?? "";
  problems.push(...providerProblems(name, keys.provider, known));
  const facts = known.providers.get(name);
  if (facts === undefined) return [];
  problems.push(...regionProblems(raw[keys.region], keys.region, facts));
  const [size = ""] = Object.keys(facts.ledger.sizes);
  const workload = known.workloads.get(shortForm.workload);
  if (workload === undefined)
    problems.push({
      path: keys.count,
      value: text,
      message: `${keys.count} runs the workload ${shortForm.workload}, which was not found.`,
      fix: `Use ${keys.fleet} to name ${chooseOf("workload", shortForm.workload, known.workloads.keys())}`,
    });
  if (problems.length > before) return [];
  return [
    {
      name: shortForm.group,
      provider: facts.name,
      region: raw[keys.region] ?? facts.defaultRegion ?? "",
      size,
      count,
      retired: [],
      stopped: [],
      label: null,
      workload: shortForm.workload,
      network: shortForm.network,
      revision: { machine: 1, software: 1 },
      maxUnavailable: 1,
      options: facts.options.parse({}),
    },
  ];
}

/**
 * Returns the fleet with each group's count a number where it is a whole number in quotes: `pulumi config set --path`
 * writes text in the place of text, so that after a mistyped count the right one would be refused too.
 */
function withCounts(fleet: Fields): Fields {
  if (!isFields(fleet.groups)) return fleet;
  const groups = Object.entries(fleet.groups).map(([name, group]) =>
    isFields(group) && typeof group.count === "string" && /^-?[0-9]{1,9}$/.test(group.count)
      ? [name, { ...group, count: Number(group.count) }]
      : [name, group],
  );
  return { ...fleet, groups: Object.fromEntries(groups) };
}

/** The schema's complaints, with unknown fields answered by the fields that are known there. */
function schemaProblems(error: z.ZodError, fleet: unknown): Problem[] {
  const issues = error.issues.flatMap(innermost);
  return problemsOf({ ...error, issues } as z.ZodError, fleet, keys.fleet, (path, issue) =>
    issue.code === "unrecognized_keys" ? unknownFix("field", path, fieldsAt(Fleet, issue.path)) : undefined,
  );
}

/** What would make a node look like something that it is not: another address, another browser, a person. */
const disguise = /proxy|vpn|socks|tunnel|wireguard|useragent|stealth|undetect|fingerprint|webdriver|automation|captcha/;

/** Returns what to do with a field that is not known. One that would disguise a node is not there on purpose. */
function unknownFix(what: string, path: string, known: readonly string[]): string {
  const name = path.split(".").at(-1) ?? "";
  const plain = name.toLowerCase().replaceAll(/[^a-z]/g, "");
  return disguise.test(plain)
    ? "Remove it: a node shows itself as what it is, at the address it has, and there is no way around that."
    : chooseOf(what, name, known);
}

/** A union's complaint, or those of its one form that the value was meant to have. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.filter((issues) => issues.some((inner) => inner.path.length > 0 || isUnknownField(inner)));
  const [form, ...others] = meant;
  if (form === undefined || others.length > 0) return [issue];
  return form.flatMap((inner) => innermost({ ...inner, path: [...issue.path, ...inner.path] }));
}

function isUnknownField(issue: z.core.$ZodIssue): boolean {
  return issue.code === "unrecognized_keys";
}

/** Returns the names of the fields that the schema knows at a path. */
function fieldsAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const { def } = schema._zod as z.core.$ZodTypes["_zod"];
  if (def.type === "optional") return fieldsAt(def.innerType, path);
  if (def.type === "union") return [...new Set(def.options.flatMap((option) => fieldsAt(option, path)))];
  const [key, ...rest] = path;
  if (def.type === "object") {
    if (key === undefined) return Object.keys(def.shape);
    const field = def.shape[String(key)];
    return field === undefined ? [] : fieldsAt(field, rest);
  }
  return def.type === "record" && key !== undefined ? fieldsAt(def.valueType, rest) : [];
}

/** What the schema cannot see: names, and fields that must fit one another. Values of a wrong type are left to it. */
function fleetProblems(fleet: unknown, known: Known): Problem[] {
  if (!isFields(fleet)) return [];
  const problems: Problem[] = [];
  const { groups, phase, phases, accounts, collector, placements, acknowledge } = fleet;
  if (isFields(groups))
    for (const [name, group] of Object.entries(groups)) {
      const path = `${keys.fleet}.groups.${name}`;
      if (!groupNamePattern.test(name))
        problems.push({
          path,
          value: quoted(name),
          message: `${path} is named ${quoted(name)}.`,
          fix: "Choose a name of at most 20 lower-case letters, digits and hyphens that begins with a letter.",
        });
      if (isFields(group)) problems.push(...groupProblems(group, path, known));
    }
  problems.push(...phaseProblems(phase, phases));
  if (isFields(accounts))
    for (const [provider, account] of Object.entries(accounts))
      problems.push(...accountProblems(provider, account, `${keys.fleet}.accounts.${provider}`, known));
  if (isFields(collector)) problems.push(...collectorProblems(collector, known));
  problems.push(...openProblems(fleet));
  if (isFields(acknowledge)) problems.push(...acknowledgeProblems(acknowledge, known));
  if (isFields(placements))
    for (const key of Object.keys(placements))
      if (!nodeKeyPattern.test(key))
        problems.push({
          path: `${keys.fleet}.placements.${key}`,
          value: quoted(key),
          message: `${keys.fleet}.placements.${key} does not name a node.`,
          fix: "Write a node's key, <group>/<slot>, such as home/0.",
        });
  return problems;
}

function groupProblems(group: Fields, path: string, known: Known): Problem[] {
  const { provider, region, size, workload, network, options } = group;
  const problems: Problem[] = [];
  if (isName(provider)) {
    problems.push(...providerProblems(provider, `${path}.provider`, known));
    const facts = known.providers.get(provider);
    if (facts !== undefined) {
      if (region === undefined || isName(region)) problems.push(...regionProblems(region, `${path}.region`, facts));
      // A group without nodes needs no machine: whatever the ledger lost, a count can be lowered to 0.
      if (isName(size) && group.count !== 0) problems.push(...sizeProblems(size, `${path}.size`, facts));
      if (group.count !== 0 && isFields(size) && isName(size.shape) && !Object.hasOwn(facts.ledger.shapes, size.shape))
        problems.push({
          path: `${path}.size.shape`,
          value: quoted(size.shape),
          message: `${path}.size.shape is ${quoted(size.shape)}, which is not a machine type of ${provider}.`,
          fix: chooseOf("machine type", size.shape, Object.keys(facts.ledger.shapes)),
        });
      if (options === undefined || isFields(options))
        problems.push(...optionProblems(options ?? {}, `${path}.options`, facts.options));
    }
  }
  if (isName(workload)) {
    const descriptor = known.workloads.get(workload);
    if (descriptor === undefined)
      problems.push({
        path: `${path}.workload`,
        value: quoted(workload),
        message: `${path}.workload is ${quoted(workload)}, which is not a known workload.`,
        fix: chooseOf("workload", workload, known.workloads.keys()),
      });
    const networks = new Set([...known.workloads.values()].flatMap((each) => each.networks));
    if (isName(network) && !networks.has(network))
      problems.push({
        path: `${path}.network`,
        value: quoted(network),
        message: `${path}.network is ${quoted(network)}, which is not a known network.`,
        fix: chooseOf("network", network, networks),
      });
    else if (isName(network) && descriptor !== undefined && !descriptor.networks.includes(network))
      problems.push({
        path: `${path}.network`,
        value: quoted(network),
        message: `${path}.network is ${quoted(network)}, and the workload ${workload} does not earn from it.`,
        fix:
          descriptor.networks.length === 0
            ? "Write null."
            : `Choose one of: ${descriptor.networks.toSorted().join(", ")}, or write null for none.`,
      });
  }
  problems.push(...slotProblems(group, path));
  return problems;
}

/** SSH that is open to most of the world is opened by whoever has read what that means. */
function openProblems({ access, acknowledge }: Fields): Problem[] {
  const ranges = isFields(access) && Array.isArray(access.sshFrom) ? access.sshFrom : [];
  const read = isFields(acknowledge) && acknowledge.sshFromAnywhere !== undefined;
  return ranges.flatMap((range: unknown, index): Problem[] => {
    const bits = typeof range === "string" ? Number(/\/(\d+)$/.exec(range)?.[1] ?? Number.NaN) : Number.NaN;
    // A range of IPv6 addresses is refused by the schema.
    const widest = typeof range === "string" && range.includes(":") ? -1 : 7;
    const path = `${keys.fleet}.access.sshFrom.${index}`;
    if (read || !(bits <= widest)) return [];
    return [
      {
        path,
        value: quoted(range),
        message: `${path} is ${quoted(range)}, which opens SSH of every machine to the world.`,
        fix: `Name the addresses you come from, such as 203.0.113.4/32, or set ${keys.fleet}.acknowledge.sshFromAnywhere to true.`,
      },
    ];
  });
}

/** What nobody asks for is not acknowledged by it: a name that is mistyped would look as if it were. */
function acknowledgeProblems(acknowledge: Fields, known: Known): Problem[] {
  const terms = [...known.providers.values()].flatMap((facts) => facts.terms.map(({ name }) => name));
  const names = [...terms, ...Object.values(networkTerms).map(({ name }) => name), "sshFromAnywhere"];
  return Object.entries(acknowledge)
    .filter(([name]) => !names.includes(name))
    .map(([name, value]) => ({
      path: `${keys.fleet}.acknowledge.${name}`,
      value: quoted(value),
      message: `${keys.fleet}.acknowledge.${name} is nothing to acknowledge.`,
      fix: chooseOf("name", name, names),
    }));
}

function accountProblems(provider: string, account: unknown, path: string, known: Known): Problem[] {
  const problems = providerProblems(provider, path, known);
  const facts = known.providers.get(provider);
  if (facts === undefined || !isFields(account)) return problems;
  const { options, free, limits } = account;
  if (isFields(options)) problems.push(...optionProblems(options, `${path}.options`, facts.accountOptions));
  const quantities = Object.keys(facts.ledger.quantities);
  for (const [field, given] of Object.entries({ free, limits }))
    for (const [quantity, value] of Object.entries(isFields(given) ? given : {}))
      if (!quantities.includes(quantity))
        problems.push({
          path: `${path}.${field}.${quantity}`,
          value: quoted(value),
          message: `${path}.${field}.${quantity} is not a quantity of ${provider}.`,
          fix: chooseOf("quantity", quantity, quantities),
        });
  return problems;
}

function optionProblems(given: Fields, path: string, schema: z.ZodType): Problem[] {
  const checked = schema.safeParse(given);
  if (checked.success) return [];
  return problemsOf(checked.error, given, path, (at, issue) =>
    issue.code === "unrecognized_keys" ? unknownFix("option", at, fieldsAt(schema, issue.path)) : undefined,
  );
}

function slotProblems(group: Fields, path: string): Problem[] {
  const problems: Problem[] = [];
  const retired = slotsOf(group.retired);
  const stopped = slotsOf(group.stopped);
  for (const [field, slots] of [
    ["retired", retired],
    ["stopped", stopped],
  ] as const)
    for (const [index, slot] of slots.entries())
      if (slots.indexOf(slot) < index)
        problems.push({
          path: `${path}.${field}.${index}`,
          value: String(slot),
          message: `${path}.${field}.${index} is ${slot}, which stands there twice.`,
          fix: `Name the slot ${slot} once.`,
        });
  // A stopped slot that is not live is no mistake: a count may be lowered under it, and raised again.
  return problems;
}

function providerProblems(name: string, path: string, known: Known): Problem[] {
  if (known.providers.has(name)) return [];
  return [
    {
      path,
      value: quoted(name),
      message: `${path} is ${quoted(name)}, which is not a known provider.`,
      fix: chooseOf("provider", name, known.providers.keys()),
    },
  ];
}

function sizeProblems(size: string, path: string, { name, ledger }: ProviderFacts): Problem[] {
  if (Object.hasOwn(ledger.sizes, size)) return [];
  return [
    {
      path,
      value: quoted(size),
      message: `${path} is ${quoted(size)}, which is not a size of ${name}.`,
      fix: chooseOf("size", size, Object.keys(ledger.sizes)),
    },
  ];
}

function regionProblems(region: string | undefined, path: string, facts: ProviderFacts): Problem[] {
  if (region === undefined)
    return facts.defaultRegion !== null
      ? []
      : [{ path, value: undefined, message: `${path} is missing.`, fix: `Name a region of ${facts.name}.` }];
  if (facts.regions === "any" || facts.regions.includes(region)) return [];
  return [
    {
      path,
      value: quoted(region),
      message: `${path} is ${quoted(region)}, which is not a region of ${facts.name}.`,
      fix: chooseOf("region", region, facts.regions),
    },
  ];
}

function phaseProblems(phase: unknown, phases: unknown): Problem[] {
  const problems: Problem[] = [];
  const named = isFields(phases) ? phases : {};
  const names = Object.keys(named);
  if (isName(phase) && !names.includes(phase))
    problems.push({
      path: `${keys.fleet}.phase`,
      value: quoted(phase),
      message: `${keys.fleet}.phase is ${quoted(phase)}, which is not one of the phases.`,
      fix: names.length === 0 ? `Describe it under ${keys.fleet}.phases.` : chooseOf("phase", phase, names),
    });
  const followerOf = (name: string): string | undefined => {
    const each = named[name];
    return isFields(each) && isName(each.then) ? each.then : undefined;
  };
  for (const [name, each] of Object.entries(named)) {
    if (!isFields(each)) continue;
    const path = `${keys.fleet}.phases.${name}`;
    if (name === windDown)
      problems.push({
        path,
        value: quoted(name),
        message: `${path} is named ${windDown}, which is the end of a fleet and no phase.`,
        fix: "Choose another name.",
      });
    const { start, end, then } = each;
    if (isInstant(start) && isInstant(end) && Date.parse(start) >= Date.parse(end))
      problems.push({
        path: `${path}.end`,
        value: quoted(end),
        message: `${path}.end is ${end}, which is not after its start ${start}.`,
        fix: "Write an end after the start.",
      });
    if (!isName(then)) continue;
    if (end === undefined)
      problems.push({
        path: `${path}.then`,
        value: quoted(then),
        message: `${path}.then is ${quoted(then)}, and the phase has no end.`,
        fix: `Write ${path}.end, or remove then.`,
      });
    if (then !== windDown && !names.includes(then))
      problems.push({
        path: `${path}.then`,
        value: quoted(then),
        message: `${path}.then is ${quoted(then)}, which is not one of the phases.`,
        fix: chooseOf("phase", then, [...names, windDown]),
      });
    const next = named[then];
    if (isInstant(end) && isFields(next) && isInstant(next.start) && Date.parse(next.start) < Date.parse(end))
      problems.push({
        path: `${keys.fleet}.phases.${then}.start`,
        value: quoted(next.start),
        message: `${keys.fleet}.phases.${then}.start is ${next.start}, before the end ${end} of the phase ${name} that it follows.`,
        fix: "Write a start at or after that end.",
      });
    const circle = circleFrom(name, followerOf);
    if (circle !== undefined)
      problems.push({
        path: `${path}.then`,
        value: quoted(then),
        message: `${path}.then is ${quoted(then)}, which leads back to ${name}: ${circle.join(" → ")}.`,
        fix: `Let one of them end in ${windDown}, or have no then.`,
      });
  }
  return problems;
}

function circleFrom(start: string, followerOf: (name: string) => string | undefined): string[] | undefined {
  const way = [start];
  for (let next = followerOf(start); next !== undefined; next = followerOf(next)) {
    if (next === start) return [...way, start];
    if (way.includes(next)) return undefined;
    way.push(next);
  }
  return undefined;
}

function collectorProblems(collector: Fields, known: Known): Problem[] {
  const { host, external } = collector;
  const path = `${keys.fleet}.collector`;
  if (host !== undefined && external !== undefined)
    return [
      {
        path,
        value: quoted(collector),
        message: `${path} has host and external, and a collector runs in one place.`,
        fix: "Keep one of the two.",
      },
    ];
  if (host === undefined && external === undefined && Object.keys(collector).length === 0)
    return [
      {
        path,
        value: quoted(collector),
        message: `${path} is empty.`,
        fix: "Write {host: {provider, region, size}} or {external: true}, or remove it.",
      },
    ];
  if (!isFields(host) || !isName(host.provider)) return [];
  const { provider, region, size } = host;
  const problems = providerProblems(provider, `${path}.host.provider`, known);
  const facts = known.providers.get(provider);
  if (facts === undefined) return problems;
  if (bootChoice(facts, facts.options.parse(facts.machine ?? {})).kind !== "user-data")
    return [
      {
        path: `${path}.host`,
        value: quoted(host),
        message: `${path}.host asks for a machine, and the provider ${provider} has none.`,
        fix: `Remove ${path} to run the collector here, or write {external: true} where it runs elsewhere.`,
      },
    ];
  if (isName(region)) problems.push(...regionProblems(region, `${path}.host.region`, facts));
  if (isName(size)) problems.push(...sizeProblems(size, `${path}.host.size`, facts));
  return problems;
}

function complete(fleet: Fleet, known: Known): FleetConfig {
  const groups = Object.entries(fleet.groups)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, group]): GroupConfig => {
      const facts = known.providers.get(group.provider);
      return {
        name,
        provider: group.provider,
        region: group.region ?? facts?.defaultRegion ?? "",
        size: group.size,
        count: group.count,
        retired: (group.retired ?? []).toSorted((a, b) => a - b),
        stopped: (group.stopped ?? []).toSorted((a, b) => a - b),
        label: group.label ?? null,
        workload: group.workload,
        network: group.network,
        revision: group.revision ?? { machine: 1, software: 1 },
        maxUnavailable: group.maxUnavailable ?? 1,
        options: facts?.options.parse(group.options ?? {}) ?? {},
      };
    });
  const phases = Object.entries(fleet.phases ?? {}).map(([name, phase]): [string, PhaseConfig] => [
    name,
    {
      start: utc(phase.start),
      end: utc(phase.end),
      then: phase.then ?? null,
      budgetMicroUsdPerMonth: microUsd(phase.budgetUsdPerMonth),
      grantMicroUsd: phase.grantUsd === undefined ? null : microUsd(phase.grantUsd),
    },
  ]);
  return {
    groups,
    phase: fleet.phase ?? null,
    phases: Object.fromEntries(phases),
    accounts: Object.fromEntries(
      Object.entries(fleet.accounts ?? {}).map(([name, account]) => [
        name,
        accountOf(account, known.providers.get(name)),
      ]),
    ),
    access: fleet.access ?? null,
    collector: fleet.collector?.external === true ? "external" : (fleet.collector?.host ?? "here"),
    placements: fleet.placements ?? {},
    acknowledge: fleet.acknowledge ?? {},
    ledgerAgeDays: fleet.ledgerAgeDays ?? noFleet.ledgerAgeDays,
  };
}

function accountOf(account: NonNullable<Fleet["accounts"]>[string], facts: ProviderFacts | undefined): AccountConfig {
  const given = typeof account === "object" ? account : { id: account };
  return {
    id: given.id,
    opened: given.opened ?? null,
    free: given.free ?? {},
    limits: given.limits ?? {},
    options: facts?.accountOptions.parse(given.options ?? {}) ?? {},
  };
}

function utc(instant: string | undefined): string | null {
  return instant === undefined ? null : new Date(instant).toISOString();
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isSlot(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function slotsOf(value: unknown): number[] {
  return Array.isArray(value) ? value.filter(isSlot) : [];
}

function isInstant(value: unknown): value is string {
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}
