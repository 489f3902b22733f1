import { valueAt } from "./paths.ts";

/** What the names in a rule's text stand for. */
export interface Meanings {
  /** Names that stand for themselves: `id`, `name`, `limit`. */
  readonly named: Readonly<Record<string, string | undefined>>;
  /** Values by their source: `{in:shape}` is the property `shape` of `values.in`. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What is made anew each time: `{unique:60}`. */
  readonly made: Readonly<Record<string, (size: number) => string>>;
}

/**
 * Returns a rule's text with every `{name}` filled in. Alternatives stand behind one another, `{in:region|config:region}`,
 * the last one may be text, `|=none`; `lower:` and `upper:` change the case of
 * what follows, `last:` is its part behind the last slash, `head:` all before its last hyphen. Throws an error that
 * names what nothing is known for.
 */
export function filled(text: string, meanings: Meanings): string {
  return text.replaceAll(/\{([a-z][^{}]*)\}/g, (_, inner: string) => {
    for (const alternative of inner.split("|")) {
      const value = meaningOf(alternative, meanings);
      if (value !== undefined) return value;
    }
    throw new Error(`The text ${JSON.stringify(text)} needs {${inner}}, and nothing is known for it.`);
  });
}

function meaningOf(name: string, meanings: Meanings): string | undefined {
  if (name.startsWith("=")) return name.slice(1);
  const [first = "", ...rest] = name.split(":");
  const inner = rest.join(":");
  if (first === "lower") return meaningOf(inner, meanings)?.toLowerCase();
  if (first === "upper") return meaningOf(inner, meanings)?.toUpperCase();
  if (first === "last") return meaningOf(inner, meanings)?.split("/").at(-1);
  if (first === "head") return meaningOf(inner, meanings)?.replace(/-[^-]*$/, "");
  const make = meanings.made[first];
  if (make !== undefined) return make(Number(inner));
  if (Object.hasOwn(meanings.values, first)) {
    const value = valueAt(meanings.values[first], inner);
    return value === undefined || value === null || value === "" ? undefined : String(value);
  }
  return meanings.named[name];
}

/** Returns a value with every text in it filled in. */
export function filledValue(value: unknown, meanings: Meanings): unknown {
  if (typeof value === "string") return filled(value, meanings);
  if (Array.isArray(value)) return value.map((item) => filledValue(item, meanings));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filledValue(item, meanings)]));
}

/** Returns whether a text has something made anew in it, so that it is kept once it was made. */
export function isMade(value: unknown): boolean {
  return /\{(unique|hex|digits|uuid|now|public-address|private-address)\b/.test(JSON.stringify(value) ?? "");
}
