import { randomBytes, randomUUID } from "node:crypto";
import { canonical, type Properties, unknownValue } from "../plugin/resource.ts";
import { changedLeaves, fits, isUnder, valueAt, valuesAt, withValueAt } from "./paths.ts";
import type { Rule, RuleOf, RulesFile } from "./rules.ts";
import type { Scenario } from "./scenario.ts";
import { filled, filledValue, isMade, type Meanings } from "./text.ts";
import type { Kept, World } from "./world.ts";

/** What a stand-in cloud works with. */
export interface CloudParts {
  readonly rules: RulesFile;
  readonly world: World;
  /** Returns the scenario as it is now: it may change while the cloud runs. */
  readonly scenario: () => Scenario;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Ends after so many seconds here. */
  readonly sleep: (seconds: number) => Promise<void>;
}

/** A resource as the program names and wants it. */
export interface Wanted {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly inputs: Properties;
}

/** What is there after an operation. */
export interface Made {
  readonly id: string;
  readonly outputs: Properties;
}

/** A failure in the provider's own words. `made` is what the engine keeps in its state nevertheless. */
export class CloudRefusal extends Error {
  override readonly name = "CloudRefusal";
  readonly made: (Made & { readonly inputs: Properties }) | undefined;
  constructor(text: string, made?: Made & { readonly inputs: Properties }) {
    super(text);
    this.made = made;
  }
}

/** What a check finds wrong with a property. */
export interface Mistake {
  readonly property: string;
  readonly reason: string;
}

/** How a wanted resource differs from the one that is there. */
export interface CloudDifference {
  /** Paths of what differs, and whether each needs another resource. */
  readonly paths: ReadonlyMap<string, { readonly replaces: boolean; readonly kind: "add" | "delete" | "update" }>;
  readonly deleteBeforeReplace: boolean;
}

/** A cloud that behaves by its rules. Every method answers as the real provider's plugin would. */
export interface Cloud {
  readonly plugin: string;
  knows(type: string): boolean;
  configure(config: Properties): void;
  check(
    wanted: Wanted,
    before: Properties | undefined,
  ): { readonly inputs: Properties; readonly mistakes: readonly Mistake[] };
  difference(type: string, before: Properties, wanted: Properties): CloudDifference;
  /** Returns what a preview knows of a new resource: its inputs, and the mark of an unknown value for what is computed. */
  foreseen(wanted: Wanted, outputs: Properties): Properties;
  create(wanted: Wanted): Promise<Made>;
  /** `outputs` are those that the engine has of it, here and below. */
  read(wanted: Wanted, id: string, outputs?: Properties): Promise<(Made & { readonly inputs: Properties }) | null>;
  update(wanted: Wanted, id: string, outputs?: Properties): Promise<Made>;
  delete(wanted: Wanted, id: string, outputs?: Properties): Promise<void>;
  invoke(token: string, args: Properties): Promise<Properties>;
}

type Operation = "configure" | "create" | "read" | "update" | "delete" | "invoke";

/** Why a try failed: the case of an error, what its text names, and what the cloud has kept nevertheless. */
interface Refused {
  readonly refused: string;
  readonly named: Meanings["named"];
  readonly retryAfter?: number;
  readonly kept?: Kept;
}

/** What one try of an operation came to. */
type Outcome<Result> = { readonly done: Result } | Refused;

const verbs: Readonly<Record<Operation, string>> = {
  configure: "configuring",
  create: "creating",
  read: "reading",
  update: "updating",
  delete: "deleting",
  invoke: "invoking",
};

const noSuchType = (plugin: string, type: string): Error =>
  new Error(`The stand-in cloud ${plugin} has no rules for ${type}.`);

/** Returns a cloud that behaves by `rules` and keeps what it holds in `world`. */
export function standInCloud({ rules: file, world, scenario, now, sleep }: CloudParts): Cloud {
  const { plugin, rules } = file;
  const of = <Kind extends Rule["kind"]>(kind: Kind, type?: string): RuleOf<Kind>[] =>
    rules.filter(
      (rule): rule is RuleOf<Kind> =>
        rule.kind === kind && (type === undefined || !("type" in rule) || rule.type === type),
    );
  const trait = <Trait extends RuleOf<"provider">["trait"]>(name: Trait) =>
    of("provider").find((rule): rule is Extract<RuleOf<"provider">, { readonly trait: Trait }> => rule.trait === name)
      ?.value as Extract<RuleOf<"provider">, { readonly trait: Trait }>["value"] | undefined;
  const ignoreCase = trait("ids-ignore-case") ?? false;
  let config: Properties = {};

  const same = (a: unknown, b: string): boolean =>
    typeof a === "string" && (a === b || (ignoreCase && a.toLowerCase() === b.toLowerCase()));

  /** Returns the resource of a type that a property's value names: by its id, its name or its link. */
  const named = (type: string, value: unknown): Kept | undefined =>
    typeof value !== "string"
      ? undefined
      : (world.find(plugin, value, ignoreCase) ??
        world
          .all(plugin, type)
          .find(({ name, outputs }) => same(value, name) || same(value, String(outputs.selfLink))));

  const meanings = (type: string, inputs: Properties, more: Meanings["named"], outputs: Properties = {}): Meanings => ({
    named: {
      type,
      called: of("resource", type)[0]?.called,
      creating: of("resource", type)[0]?.creating ?? of("resource", type)[0]?.called,
      ...more,
    },
    values: { in: inputs, out: outputs, config, ...referred(type, inputs) },
    made: {
      unique: (size) => [...randomBytes(size)].map((byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte % 32]).join(""),
      hex: (size) => randomBytes(size).toString("hex").slice(0, size),
      digits: (size) => [...randomBytes(size)].map((byte, i) => String(i === 0 ? (byte % 9) + 1 : byte % 10)).join(""),
      uuid: () => randomUUID(),
      now: () => new Date(now()).toISOString(),
      // RFC 2544 sets this range aside for machines under test: no host on the internet has one of them.
      "public-address": () => scenario().machineAddress ?? address(198 * 2 ** 24 + 18 * 2 ** 16, "public"),
      "private-address": () => address(10 * 2 ** 24, "private"),
    },
  });
  const address = (base: number, kind: string): string => {
    const value = base + 10 + world.count(`${plugin} ${kind} addresses`);
    return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
  };
  /** Returns what the resources are that a resource refers to, under the names of its properties. */
  const referred = (type: string, inputs: Properties): Record<string, unknown> =>
    Object.fromEntries(
      of("refers", type).flatMap(({ property, to }) => {
        const [value] = valuesAt(inputs, property);
        const found = named(to, value);
        return found === undefined ? [] : [[`of-${property.split(/[.[]/)[0]}`, found.outputs]];
      }),
    );

  const holds = (condition: { property: string; is?: unknown; isNot?: unknown }, value: unknown): boolean => {
    const found = valueAt(value, condition.property);
    return "is" in condition
      ? canonical(found) === canonical(condition.is)
      : canonical(found) !== canonical(condition.isNot);
  };

  /** Returns the first failure of the scenario that meets this call, and counts the call. */
  const failureFor = (on: Operation, type: string, name: string): Scenario["failures"][number] | undefined =>
    scenario().failures.find((failure, index) => {
      if (failure.cloud !== plugin || failure.on !== on || !fits(type, failure.type) || !fits(name, failure.name))
        return false;
      const before = world.count(`failure ${index} ${canonical(failure)}`);
      return before >= failure.after && (failure.times === "always" || before < failure.after + failure.times);
    });

  const errorOf = (name: string): RuleOf<"error"> => {
    const rule = of("error").find((error) => error.case === name);
    if (rule === undefined) throw new Error(`The stand-in cloud ${plugin} has no error for the case ${name}.`);
    return rule;
  };

  /** Returns the provider's own words for a case, with all that it wraps around them. */
  const said = (operation: Operation, name: string, all: Meanings): string => {
    const rule = errorOf(name);
    const text = filled(rule.text, all);
    const around = of("wrap").filter(
      (wrap) =>
        (wrap.operations as readonly string[]).includes(operation) &&
        (wrap.accepted === undefined || (!rule.bare && wrap.accepted === rule.accepted)),
    );
    return around.reduce(
      (inner, wrap) =>
        filled(wrap.text, {
          ...all,
          named: { ...all.named, text: inner, note: rule.note === undefined ? "" : filled(rule.note, all) },
        }),
      text,
    );
  };

  /**
   * Does one operation as the provider does it: each try whole, with the provider's own tries after those errors that it
   * takes for passing. Throws `CloudRefusal` in its words.
   */
  const operate = async <Result>(
    operation: Operation,
    { urn, type, name, inputs, id }: Wanted & { readonly id?: string },
    attempt: () => Outcome<Result>,
  ): Promise<Result> => {
    let waited = 0;
    for (let tries = 0; ; tries++) {
      const outcome = world.whole((): Outcome<Result> => {
        const failure = failureFor(operation, type, name);
        const rule = failure === undefined ? undefined : errorOf(failure.case);
        if (rule?.accepted === true && operation !== "create" && operation !== "update")
          throw new Error(`The case ${rule.case} meets a resource that is being made: let it fail on create.`);
        const result: Outcome<Result> =
          failure === undefined || rule?.accepted === true
            ? attempt()
            : {
                refused: failure.case,
                named: {},
                ...(failure.retryAfterSeconds === undefined ? {} : { retryAfter: failure.retryAfterSeconds }),
              };
        const outcome =
          failure !== undefined && "done" in result && rule !== undefined ? accepted(result.done, rule) : result;
        const record = "done" in outcome ? "done" : outcome.refused;
        world.record({ cloud: plugin, operation, type, name, outcome: record });
        return outcome;
      });
      if ("done" in outcome) return outcome.done;
      const { refused, retryAfter, kept } = outcome;
      const retry = of("retry").find((rule) => rule.error === refused);
      const wait = retryAfter ?? retry?.waits[Math.min(tries, retry.waits.length - 1)];
      if (retry !== undefined && wait !== undefined && waited + wait <= retry.forSeconds) {
        waited += wait;
        await sleep(wait / scenario().speed);
        continue;
      }
      const all = meanings(type, inputs, {
        name: nameOf(type, inputs) || name,
        id: kept?.id ?? id,
        urn,
        verb: verbs[operation],
        request: randomBytes(16).toString("hex"),
        "retry-after": retryAfter === undefined ? undefined : String(retryAfter),
        ...outcome.named,
      });
      const text = said(operation, refused, all);
      if (kept !== undefined && trait("failed-after-acceptance") === "kept")
        throw new CloudRefusal(text, { id: kept.id, inputs: kept.inputs, outputs: kept.outputs });
      throw new CloudRefusal(text);
    }
  };

  /** What becomes of a resource that was made and then failed, as a rule of its error says. */
  const accepted = <Result>(done: Result, rule: RuleOf<"error">): Outcome<Result> => {
    const made = done as Made & { readonly kept: Kept };
    if (rule.leaves === "nothing" || trait("failed-after-acceptance") !== "kept") {
      if (rule.leaves !== "alive") world.drop(plugin, made.id);
      return { refused: rule.case, named: {} };
    }
    const state = of("states", made.kept.type)[0];
    const failed =
      rule.leaves === "alive"
        ? made.kept
        : {
            ...made.kept,
            failed: true,
            outputs: (state?.failed === undefined
              ? made.kept.outputs
              : withValueAt(made.kept.outputs, state.property, state.failed)) as Properties,
          };
    world.keep(plugin, failed);
    return { refused: rule.case, named: {}, kept: failed };
  };

  const latencyOf = (type: string): Omit<RuleOf<"latency">, "kind"> =>
    of("latency").find((rule) => rule.type === type) ??
    of("latency").find((rule) => rule.type === "*") ?? { type, create: 0, update: 0, delete: 0 };

  /** Returns the outputs of a resource: what was made before is kept, what follows from the inputs is computed again. */
  const outputsOf = (type: string, inputs: Properties, id: string, name: string, before: Properties): Properties => {
    let outputs: Properties = { ...inputs };
    for (const rule of of("output", type)) {
      if (rule.when !== undefined && !holds(rule.when, inputs)) continue;
      const old = valueAt(before, rule.property);
      const value =
        old !== undefined && isMade(rule.value)
          ? old
          : filledValue(rule.value, meanings(type, inputs, { id, name }, outputs));
      outputs = withValueAt(outputs, rule.property, value) as Properties;
    }
    const [states] = of("states", type);
    if (states === undefined) return outputs;
    const stopped = states.stopped !== undefined && holds(states.stopped.when, inputs);
    return withValueAt(outputs, states.property, stopped ? states.stopped?.state : states.ready) as Properties;
  };

  /** Returns a resource's outputs as a reader sees them now: while it is made, its state is still on the way. */
  const seen = (kept: Kept): Properties => {
    const [states] = of("states", kept.type);
    if (states === undefined || kept.failed) return kept.outputs;
    const elapsed = ((now() - kept.since) / 1000) * scenario().speed;
    const { create } = latencyOf(kept.type);
    if (elapsed >= create || states.creating.length === 0) return kept.outputs;
    const index = Math.floor((elapsed / create) * states.creating.length);
    return withValueAt(kept.outputs, states.property, states.creating[index]) as Properties;
  };

  const nameOf = (type: string, inputs: Properties): string => {
    const [rule] = of("name", type);
    return rule === undefined ? "" : String(valueAt(inputs, rule.property) ?? "");
  };

  /** Returns why a resource cannot be made or be as wanted, or nothing. `self` is the one that is there already. */
  const objection = (
    operation: "create" | "update",
    { type, inputs }: Pick<Wanted, "type" | "inputs">,
    self: Kept | undefined,
  ): Refused | undefined => {
    const refuse = (error: string, names: Meanings["named"] = {}): Refused => ({ refused: error, named: names });
    const changed = self === undefined ? undefined : changedLeaves(self.inputs, inputs);
    const touches = (property: string): boolean => changed?.some((leaf) => isUnder(leaf, property)) ?? true;
    for (const rule of of("allows", type)) {
      if (!touches(rule.property)) continue;
      for (const value of valuesAt(inputs, rule.property)) {
        const allowed =
          rule.from === undefined
            ? new RegExp(rule.pattern ?? "").test(String(value))
            : ((answerOf(rule.from.invoke, inputs)?.[rule.from.list] ?? []) as Properties[]).some(
                (item) => item[rule.from?.field ?? ""] === value,
              );
        if (!allowed) return refuse(rule.error, { value: String(value) });
      }
    }
    for (const rule of of("refers", type)) {
      if (!touches(rule.property)) continue;
      for (const value of valuesAt(inputs, rule.property))
        if (named(rule.to, value) === undefined) return refuse(rule.error, { value: String(value) });
    }
    for (const rule of of("offers", type)) {
      const [domain, shape] = [rule.domain, rule.shape].map((text) => filled(text, meanings(type, inputs, {}))) as [
        string,
        string,
      ];
      const offer = scenario().offers.find((each) => each.cloud === plugin && fits(shape, each.shape));
      if (offer !== undefined && !offer.domains.some((pattern) => fits(domain, pattern)))
        return refuse(rule.error, { domain, shape });
    }
    if (operation === "create")
      for (const rule of of("unique", type)) {
        const key = filled(rule.within, meanings(type, inputs, { name: nameOf(type, inputs) }));
        const other = world
          .all(plugin, type)
          .find(
            (kept) =>
              kept !== self &&
              same(key, filled(rule.within, meanings(type, kept.inputs, { name: nameOf(type, kept.inputs) }))),
          );
        if (other !== undefined) return refuse(rule.error, { id: other.id, path: key });
      }
    return exceeded(type, inputs, self) ?? outOfCapacity(operation, type, inputs, self);
  };

  const exceeded = (type: string, inputs: Properties, self: Kept | undefined): Refused | undefined => {
    const amountOf = (rule: RuleOf<"quota">, of: Properties): number => {
      if (rule.where !== undefined && !fits(String(valueAt(of, rule.where.property)), rule.where.like)) return 0;
      if (typeof rule.amount === "number") return rule.amount;
      const value = valueAt(of, rule.amount.property);
      return rule.amount.table === undefined ? Number(value ?? 0) : (rule.amount.table[String(value)] ?? 0);
    };
    const over = of("quota", type).flatMap((rule) => {
      const required = amountOf(rule, inputs);
      const limit = scenario().quotas[plugin]?.[rule.name] ?? rule.limit;
      if (limit === null || required === 0) return [];
      const per = filled(rule.per, meanings(type, inputs, {}));
      const others = of("quota")
        .filter((other) => other.name === rule.name)
        .flatMap((other) => world.all(plugin, other.type).map((kept) => ({ other, kept })))
        .filter(
          ({ other, kept }) => kept.id !== self?.id && filled(other.per, meanings(kept.type, kept.inputs, {})) === per,
        );
      const usage = others.reduce((sum, { other, kept }) => sum + amountOf(other, kept.inputs), 0);
      const raised = self === undefined || required > amountOf(rule, self.inputs);
      return usage + required > limit && raised ? [{ rule, limit, usage, required, per }] : [];
    });
    const [first] = over;
    if (first === undefined) return undefined;
    return {
      refused: first.rule.error,
      named: {
        quota: over.map(({ rule }) => rule.name).join(", "),
        metric: first.rule.name,
        limit: String(first.limit),
        usage: String(first.usage),
        required: String(first.required),
        "new-limit": String(first.usage + first.required),
        per: first.per,
      },
    };
  };

  const placeOf = (type: string, inputs: Properties): { domain: string; shape: string } | undefined => {
    const [rule] = of("capacity", type);
    if (rule === undefined) return undefined;
    const all = meanings(type, inputs, {});
    return { domain: filled(rule.domain, all), shape: filled(rule.shape, all) };
  };

  const outOfCapacity = (
    operation: "create" | "update",
    type: string,
    inputs: Properties,
    self: Kept | undefined,
  ): Refused | undefined => {
    const place = placeOf(type, inputs);
    const [rule] = of("capacity", type);
    if (place === undefined || rule === undefined || (operation === "update" && self?.failed !== true))
      return undefined;
    const row = scenario().capacity.find(
      (each) => each.cloud === plugin && fits(place.domain, each.domain) && fits(place.shape, each.shape),
    );
    if (row === undefined) return undefined;
    const taken = world
      .all(plugin, type)
      .filter(
        (kept) =>
          kept.id !== self?.id && !kept.failed && kept.place !== null && fits(kept.place, `${row.domain} ${row.shape}`),
      ).length;
    const tries = world.count(`capacity ${plugin} ${canonical(row)}`);
    const open = taken < row.holds && tries >= (row.comesAfterTries ?? 0);
    return open ? undefined : { refused: row.later ? rule.later : rule.error, named: place };
  };

  const make = (wanted: Wanted): Outcome<Made & { readonly kept: Kept }> => {
    const { type, inputs } = wanted;
    const refused = objection("create", wanted, undefined);
    const rule = refused === undefined ? undefined : errorOf(refused.refused);
    if (refused !== undefined && rule?.accepted !== true) return refused;
    const name = nameOf(type, inputs);
    const [form] = of("id", type);
    if (form === undefined) throw noSuchType(plugin, type);
    const id = filled(form.form, meanings(type, inputs, { name }));
    const outputs = outputsOf(type, inputs, id, name, {});
    const place = placeOf(type, inputs);
    const kept: Kept = {
      id,
      type,
      name,
      inputs,
      outputs,
      since: now(),
      failed: false,
      place: place === undefined ? null : `${place.domain} ${place.shape}`,
    };
    world.keep(plugin, kept);
    for (const brings of of("brings", type)) {
      const all = meanings(type, inputs, { id, name }, outputs);
      const other = { id: filled(brings.id, all), name: filled(brings.name, all), type: brings.brought };
      if (world.find(plugin, other.id, ignoreCase) === undefined)
        world.keep(plugin, { ...kept, ...other, inputs: {}, outputs: {}, place: null });
    }
    const made = { id, outputs, kept };
    return refused === undefined || rule === undefined
      ? { done: made }
      : withNames(accepted(made, rule), refused.named);
  };

  const withNames = <Result>(outcome: Outcome<Result>, names: Meanings["named"]): Outcome<Result> =>
    "done" in outcome ? outcome : { ...outcome, named: { ...names, ...outcome.named } };

  const answerOf = (token: string, args: Properties): Properties | undefined => {
    const rule = of("invoke").find((each) => each.token === token);
    if (rule === undefined) throw new Error(`The stand-in cloud ${plugin} has no rule for the look-up ${token}.`);
    const all = meanings("", args, {});
    const allowed = rule.items.filter((item) =>
      Object.entries(item.for).every(([name, pattern]) => {
        const value = name.startsWith("config:") ? valueAt(config, name.slice(7)) : valueAt(args, name);
        return value === undefined || fits(String(value), pattern);
      }),
    );
    const exact = allowed.filter((item) => item.otherwise !== true);
    const fitting = exact.length > 0 ? exact : allowed;
    const values = fitting.map((item) => filledValue(item.value, all) as Properties);
    if (rule.list !== undefined) return { ...args, id: `${token}-${args.compartmentId ?? ""}`, [rule.list]: values };
    return values[0] === undefined ? undefined : { ...args, ...values[0] };
  };

  const find = (id: string): Kept | undefined => world.find(plugin, id, ignoreCase);
  /** Returns whether nothing is there any more that an update could change. */
  const isGone = (kept: Kept | undefined): kept is undefined =>
    kept === undefined || (kept.failed && trait("failed-is") === "gone");

  return {
    plugin,
    knows: (type) => of("id", type).length > 0,

    configure(given) {
      config = given;
      const failure = world.whole(() => failureFor("configure", "", ""));
      if (failure !== undefined) throw new CloudRefusal(filled(errorOf(failure.case).text, meanings("", {}, {})));
    },

    check({ type, name, inputs: given }, before) {
      if (of("id", type).length === 0) throw noSuchType(plugin, type);
      let inputs = given;
      for (const rule of of("name", type)) {
        if (valueAt(inputs, rule.property) !== undefined || rule.auto === undefined) continue;
        const made = valueAt(before, rule.property) ?? filled(rule.auto, meanings(type, inputs, { name }));
        inputs = withValueAt(inputs, rule.property, made) as Properties;
      }
      const mistakes = of("requires", type).flatMap(({ properties }) =>
        properties
          .filter((either) => either.split("|").every((property) => valueAt(inputs, property) === undefined))
          .map((property) => ({
            property: "",
            reason: filled(trait("missing-property") ?? "{property} is missing.", {
              named: { property, name, snake: property.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) },
              values: {},
              made: {},
            }),
          })),
      );
      for (const rule of of("name", type)) {
        const value = valueAt(inputs, rule.property);
        if (rule.pattern === undefined || value === undefined || value === unknownValue) continue;
        if (!new RegExp(rule.pattern).test(String(value)))
          mistakes.push({
            property: rule.property,
            reason: `"${rule.property}" (${JSON.stringify(value)}) doesn't match regexp ${JSON.stringify(rule.pattern)}`,
          });
      }
      return { inputs, mistakes };
    },

    difference(type, before, wanted) {
      const leaves = changedLeaves(before, wanted);
      const replaces = (leaf: string): boolean =>
        of("replaces", type).some(
          ({ properties, except = [], when }) =>
            properties.some((pattern) => isUnder(leaf, pattern)) &&
            !except.some((pattern) => isUnder(leaf, pattern)) &&
            (when === "changed" || isSmaller(valueAt(wanted, leaf), valueAt(before, leaf))),
        );
      const paths = leaves.map((leaf) => {
        const kind =
          valueAt(before, leaf) === undefined ? "add" : valueAt(wanted, leaf) === undefined ? "delete" : "update";
        return [leaf, { replaces: replaces(leaf), kind }] as const;
      });
      const rule = trait("delete-before-replace");
      const names = of("name", type).filter(({ auto }) => auto !== undefined);
      const keepsName = names.some(({ property }) => {
        const value = valueAt(wanted, property);
        return value !== undefined && value === valueAt(before, property);
      });
      return { paths: new Map(paths), deleteBeforeReplace: rule === "always" || (rule === "when-named" && keepsName) };
    },

    foreseen({ type, inputs }, outputs) {
      let known: Properties = { ...inputs };
      const properties = [...of("output", type), ...of("states", type)].map(({ property }) => property);
      for (const property of properties)
        known = withValueAt(known, property, valueAt(outputs, property) ?? unknownValue) as Properties;
      return known;
    },

    async create(wanted) {
      const { id, outputs } = await operate("create", wanted, () => make(wanted));
      await sleep(latencyOf(wanted.type).create / scenario().speed);
      return { id, outputs };
    },

    async read(wanted, id) {
      return await operate("read", { ...wanted, id }, () => {
        const kept = find(id);
        return { done: isGone(kept) ? null : { id: kept.id, inputs: kept.inputs, outputs: seen(kept) } };
      });
    },

    async update(wanted, id) {
      const { outputs } = await operate("update", { ...wanted, id }, (): Outcome<Made & { readonly kept: Kept }> => {
        const kept = find(id);
        if (isGone(kept)) return { refused: "not-found", named: { id, value: id } };
        const leaves = changedLeaves(kept.inputs, wanted.inputs);
        for (const rule of of("refuses-update", wanted.type)) {
          const leaf = leaves.find((each) => rule.properties.some((pattern) => isUnder(each, pattern)));
          const free = rule.unless.some((condition) => holds(condition, wanted.inputs));
          if (leaf !== undefined && !free) return { refused: rule.error, named: { property: leaf, id } };
        }
        const refused = objection("update", wanted, kept);
        if (refused !== undefined) return { ...refused, ...(kept.failed ? { kept } : {}) };
        const outputs = outputsOf(wanted.type, wanted.inputs, kept.id, kept.name, kept.outputs);
        const place = placeOf(wanted.type, wanted.inputs);
        const updated: Kept = {
          ...kept,
          inputs: wanted.inputs,
          outputs,
          failed: false,
          place: place === undefined ? null : `${place.domain} ${place.shape}`,
        };
        world.keep(plugin, updated);
        return { done: { id: kept.id, outputs, kept: updated } };
      });
      await sleep(latencyOf(wanted.type).update / scenario().speed);
      return { id, outputs };
    },

    async delete(wanted, id) {
      await operate("delete", { ...wanted, id }, (): Outcome<null> => {
        const kept = find(id);
        if (kept === undefined) return { done: null };
        for (const rule of of("protects", wanted.type))
          if (holds(rule.when, kept.inputs)) return { refused: rule.error, named: { id, name: kept.name } };
        for (const rule of of("holds").filter(({ of: held }) => held === wanted.type))
          for (const other of world.all(plugin, rule.type))
            if (
              !isGone(other) &&
              valuesAt(other.inputs, rule.property).some((value) => named(wanted.type, value)?.id === kept.id)
            )
              return { refused: rule.error, named: { id, name: kept.name, holder: other.id } };
        for (const rule of of("brings", wanted.type)) {
          const all = meanings(wanted.type, kept.inputs, { id, name: kept.name }, kept.outputs);
          if (rule.stays === undefined || !holds(rule.stays, kept.inputs)) world.drop(plugin, filled(rule.id, all));
        }
        if (of("contains", wanted.type).length > 0)
          for (const other of world.all(plugin))
            if (other.id.toLowerCase().startsWith(`${kept.id.toLowerCase()}/`)) world.drop(plugin, other.id);
        world.drop(plugin, kept.id);
        return { done: null };
      });
      await sleep(latencyOf(wanted.type).delete / scenario().speed);
    },

    async invoke(token, args) {
      return await operate(
        "invoke",
        { urn: token, type: token, name: token, inputs: args },
        (): Outcome<Properties> => {
          const answer = answerOf(token, args);
          const rule = of("invoke").find((each) => each.token === token);
          return answer === undefined ? { refused: rule?.error ?? "not-found", named: {} } : { done: answer };
        },
      );
    },
  };
}

function isSmaller(wanted: unknown, before: unknown): boolean {
  const prefix = (cidr: unknown): number => Number(/\/(\d+)$/.exec(String(cidr))?.[1]);
  if (String(wanted).includes("/")) return prefix(wanted) > prefix(before);
  return Number(wanted) < Number(before);
}
