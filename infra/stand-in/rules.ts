import { readFileSync } from "node:fs";
import { z } from "zod";
import { BadInput, problemsOf } from "../problem.ts";

/**
 * The rules of a stand-in cloud: one row for each thing that the real one is known to do, each with its source. A rule
 * that nobody could look up says so and why (`assumed`). Texts hold `{names}`, which `text.ts` fills.
 */

const Name = z.string().min(1);
const Condition = z.strictObject({
  property: Name,
  is: z.unknown().optional(),
  isNot: z.unknown().optional(),
});
const Template: z.ZodType<unknown> = z.json();

const kinds = [
  /** A type of resource, and what error texts call it and its creation. */
  z.object({ kind: z.literal("resource"), type: Name, called: z.string(), creating: z.string().optional() }),
  /** Properties that a program has to give; `a|b` is one of the two. */
  z.object({ kind: z.literal("requires"), type: Name, properties: z.array(Name) }),
  /** Properties whose change needs another resource. `except` are parts of them that do not. */
  z.object({
    kind: z.literal("replaces"),
    type: Name,
    properties: z.array(Name),
    except: z.array(Name).optional(),
    when: z.enum(["changed", "shrunk"]).default("changed"),
  }),
  /** Properties whose change in place the cloud refuses, unless a condition holds. */
  z.object({
    kind: z.literal("refuses-update"),
    type: Name,
    properties: z.array(Name),
    unless: z.array(Condition).default([]),
    error: Name,
  }),
  /** The form of an id. */
  z.object({ kind: z.literal("id"), type: Name, form: Name }),
  /** A name: what it has to look like, what is made up where none is given, and where it must be the only one. */
  z.object({
    kind: z.literal("name"),
    type: Name,
    property: Name,
    pattern: z.string().optional(),
    auto: z.string().optional(),
  }),
  z.object({ kind: z.literal("unique"), type: Name, within: Name, error: Name }),
  /** A property that the cloud computes. */
  z.object({ kind: z.literal("output"), type: Name, property: Name, value: Template, when: Condition.optional() }),
  /** The states that a resource goes through, as its property tells them. */
  z.object({
    kind: z.literal("states"),
    type: Name,
    property: Name,
    creating: z.array(Name),
    ready: Name,
    stopped: z.strictObject({ when: Condition, state: Name }).optional(),
    failed: Name.optional(),
  }),
  /** Seconds of cloud time that creating, changing and deleting take. */
  z.object({ kind: z.literal("latency"), type: Name, create: z.number(), update: z.number(), delete: z.number() }),
  /** A property that names another resource, which has to be there. */
  z.object({ kind: z.literal("refers"), type: Name, property: Name, to: Name, error: Name }),
  /** What cannot be deleted while a resource of `type` names it. */
  z.object({ kind: z.literal("holds"), type: Name, property: Name, of: Name, error: Name }),
  /** A condition under which a resource cannot be deleted. */
  z.object({ kind: z.literal("protects"), type: Name, when: Condition, error: Name }),
  /** A resource whose end takes all below its id with it. */
  z.object({ kind: z.literal("contains"), type: Name }),
  /** Another resource that comes with one, and stays behind when it goes while the condition holds. */
  z.object({
    kind: z.literal("brings"),
    type: Name,
    brought: Name,
    id: Name,
    name: Name,
    stays: Condition.optional(),
  }),
  /** A property whose values are those of a list that a look-up gives, or of a form. */
  z.object({
    kind: z.literal("allows"),
    type: Name,
    property: Name,
    pattern: z.string().optional(),
    from: z.strictObject({ invoke: Name, list: Name, field: Name }).optional(),
    error: Name,
  }),
  /** A quota: what a resource takes of it, for which of them, and the limit where the scenario gives none. */
  z.object({
    kind: z.literal("quota"),
    name: Name,
    type: Name,
    amount: z.union([
      z.number(),
      z.strictObject({ property: Name, table: z.record(z.string(), z.number()).optional() }),
    ]),
    where: z.strictObject({ property: Name, like: Name }).optional(),
    per: Name,
    limit: z.number().nullable(),
    error: Name,
  }),
  /** Machines of which a domain may have none left, and what the cloud says then, before and after it accepted. */
  z.object({
    kind: z.literal("capacity"),
    type: Name,
    domain: Name,
    shape: Name,
    error: Name,
    later: Name,
  }),
  /** What the cloud says where a domain does not offer a shape at all. */
  z.object({ kind: z.literal("offers"), type: Name, domain: Name, shape: Name, error: Name }),
  /** An error by its case. `leaves` is what the cloud has afterwards; `bare` is text that nothing is wrapped around. */
  z.object({
    kind: z.literal("error"),
    case: Name,
    text: Name,
    note: z.string().optional(),
    accepted: z.boolean().default(false),
    leaves: z.enum(["nothing", "failed", "alive"]).default("nothing"),
    bare: z.boolean().default(false),
  }),
  /** How long the provider itself tries again, in cloud seconds, and the waits between. */
  z.object({ kind: z.literal("retry"), error: Name, forSeconds: z.number(), waits: z.array(z.number()).min(1) }),
  /** What stands around the text of an error. */
  z.object({
    kind: z.literal("wrap"),
    operations: z.array(z.enum(["create", "update", "delete", "invoke"])),
    accepted: z.boolean().optional(),
    text: Name,
  }),
  /** What a look-up answers: one entry, or a list of those that fit, and the error where none does. */
  z.object({
    kind: z.literal("invoke"),
    token: Name,
    list: Name.optional(),
    /** An entry with `otherwise` is for what no other one fits. */
    items: z.array(
      z.strictObject({
        for: z.record(z.string(), z.string()).default({}),
        otherwise: z.literal(true).optional(),
        value: Template,
      }),
    ),
    error: Name.optional(),
  }),
  /** How the provider behaves as a whole. */
  z.object({
    kind: z.literal("provider"),
    trait: z.literal("delete-before-replace"),
    value: z.enum(["never", "when-named", "always"]),
  }),
  z.object({
    kind: z.literal("provider"),
    trait: z.literal("failed-after-acceptance"),
    value: z.enum(["kept", "forgotten"]),
  }),
  z.object({ kind: z.literal("provider"), trait: z.literal("failed-is"), value: z.enum(["gone", "made-again"]) }),
  z.object({ kind: z.literal("provider"), trait: z.literal("ids-ignore-case"), value: z.boolean() }),
  z.object({ kind: z.literal("provider"), trait: z.literal("missing-property"), value: Name }),
  /** A credential or setting without which the provider refuses to work. */
  z.object({ kind: z.literal("credentials"), error: Name }),
] as const;

const Behaviour = z.union(kinds);
const Origin = z.object({
  /** A source of the head of the file, and the place in it. */
  source: z.strictObject({ in: Name, at: z.string().min(1) }).optional(),
  /** Why nobody could look it up, and what it is taken from instead. */
  assumed: z.string().min(1).optional(),
});
const Rule = z.intersection(Behaviour, Origin);
export type Rule = z.infer<typeof Rule>;
/** A rule of one kind. */
export type RuleOf<Kind extends Rule["kind"]> = Extract<Rule, { readonly kind: Kind }>;

/** A source: a repository at a version, or a document and the day on which it was read. */
const Source = z.union([
  z.strictObject({ repository: Name, version: Name }),
  z.strictObject({ package: Name, version: Name }),
  z.strictObject({ document: Name, date: z.iso.date() }),
]);

const RulesFile = z.strictObject({
  /** The plugin's name, as the engine asks for it. */
  plugin: Name,
  /** The npm package whose version the plugin has. */
  package: Name,
  sources: z.record(z.string(), Source),
  rules: z.array(Rule),
});
export type RulesFile = z.infer<typeof RulesFile>;

/** Returns a rules file, checked. Throws `BadInput` with every mistake in it. */
export function readRules(file: string): RulesFile {
  const value: unknown = JSON.parse(readFileSync(file, "utf8"));
  const parsed = RulesFile.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BadInput(file, problemsOf(parsed.error, value, ""));
}
