import { z } from "zod";
import type { Problem } from "../problem.ts";

/** A plain value as it stands in the engine's state. */
export type Properties = Readonly<Record<string, unknown>>;

/** What stands in an input that a preview cannot know yet: the engine's own mark for an unknown value. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Returns `schema`, or the mark of a value that is not known in a preview. */
export function orUnknown<T>(schema: z.ZodType<T>): z.ZodType<T | typeof unknownValue> {
  return z.union([schema, z.literal(unknownValue)]);
}

/** What an operation is given beside its values. */
export interface Around {
  /** The folder of state, nodes and evidence, absolute. */
  readonly home: string;
  /** Shows a sentence for people beside the resource, as a warning. */
  say(text: string): void;
  /** Shows a text for people that warns of nothing. */
  show(text: string): void;
  now(): Date;
}

/** What changed between the inputs a resource was made with and those that are wanted. */
export interface Difference {
  /** Fields that are changed in place. */
  readonly updates: readonly string[];
  /** Fields that need another resource in place of this one. */
  readonly replaces: readonly string[];
  /** The one that is replaced is deleted last of all, after everything that depended on it; else before the new one is made. */
  readonly deletedLast?: true;
}

/**
 * A kind of resource. Its methods throw `ExplainedError` where they fail, and then leave nothing behind that the next
 * run could not go on from. Outputs always hold what `outputs` names.
 */
export interface Resource<Inputs> {
  /** Inputs as the program gives them, unknown values of a preview included. */
  readonly inputs: z.ZodType<Inputs>;
  /** The names of its outputs, which a preview of a new one does not know. */
  readonly outputs: readonly string[];
  /** Says something about a change before it is made, a preview included. */
  notice?(before: Properties | undefined, wanted: Inputs, around: Around): void;
  /** Returns why a change may not be made, a preview included; all reasons together. */
  refuse?(before: Properties | undefined, wanted: Inputs, around: Around): readonly Problem[];
  /** Returns the inputs that are kept, where something is kept beside what the program gives. It changes nothing. */
  kept?(before: Properties | undefined, wanted: Inputs, around: Around): Inputs;
  difference(before: Properties, wanted: Inputs): Difference;
  create(wanted: Inputs, around: Around): Promise<{ readonly id: string; readonly outputs: Properties }>;
  /** Returns what is really there, or null where it is gone. */
  read(id: string, inputs: Properties, outputs: Properties, around: Around): Promise<Properties | null>;
  update(id: string, wanted: Inputs, around: Around): Promise<Properties>;
  delete(id: string, inputs: Properties, around: Around): Promise<void>;
}

/** Returns the names of the fields that differ, by their JSON with keys in order. */
export function changedFields(before: Properties, wanted: Properties): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(wanted)]);
  return [...names].filter((name) => canonical(before[name]) !== canonical(wanted[name])).toSorted();
}

/** Returns the JSON of a value with the keys of every object in order. */
export function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner: unknown) =>
      inner !== null && typeof inner === "object" && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? "undefined"
  );
}
