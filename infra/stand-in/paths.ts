import { canonical, type Properties } from "../plugin/resource.ts";

/** Paths of properties as the engine writes them: `networkInterfaces[0].accessConfigs`. In a pattern `[*]` is any index. */

function stepsOf(path: string): string[] {
  return path.match(/[^.[\]]+|\[(?:\d+|\*)\]/g) ?? [];
}

/** Returns the value at a path, `undefined` where it leads nowhere. */
export function valueAt(value: unknown, path: string): unknown {
  return stepsOf(path).reduce<unknown>(
    (at, step) =>
      at !== null && typeof at === "object" ? (at as Properties)[step.replaceAll(/[[\]]/g, "")] : undefined,
    value,
  );
}

/** Returns all values at a pattern; a path that leads nowhere gives none. */
export function valuesAt(value: unknown, pattern: string): unknown[] {
  const [before, ...after] = pattern.split("[*]");
  const at = before === "" ? value : valueAt(value, before ?? "");
  if (after.length === 0) return at === undefined ? [] : [at];
  return Array.isArray(at) ? at.flatMap((item) => valuesAt(item, after.join("[*]").replace(/^\./, ""))) : [];
}

/** Returns a copy of `value` with `wanted` at a path, whose missing objects and lists are made. */
export function withValueAt(value: unknown, path: string, wanted: unknown): unknown {
  const put = (at: unknown, [step, ...rest]: readonly string[]): unknown => {
    if (step === undefined) return wanted;
    if (!step.startsWith("[")) {
      const fields = at !== null && typeof at === "object" ? (at as Properties) : {};
      return { ...fields, [step]: put(fields[step], rest) };
    }
    const list = Array.isArray(at) ? [...at] : [];
    const index = Number(step.slice(1, -1));
    list[index] = put(list[index], rest);
    return list;
  };
  return put(value, stepsOf(path));
}

/** Returns the paths of the leaves that differ. An empty object or list is as good as none. */
export function changedLeaves(before: unknown, after: unknown, path = ""): string[] {
  const [old, wanted] = [partsOf(before), partsOf(after)];
  if (old === undefined && wanted === undefined)
    return canonical(before) === canonical(after) ? [] : [path === "" ? "" : path];
  if ((old === undefined && before !== undefined) || (wanted === undefined && after !== undefined)) return [path];
  const names = new Set([...Object.keys(old ?? {}), ...Object.keys(wanted ?? {})]);
  const list = Array.isArray(before) || Array.isArray(after);
  return [...names].flatMap((name) =>
    changedLeaves(old?.[name], wanted?.[name], list ? `${path}[${name}]` : path === "" ? name : `${path}.${name}`),
  );
}

/** Returns the parts of an object or list; `undefined` for a plain value. */
function partsOf(value: unknown): Properties | undefined {
  if (value === null || typeof value !== "object") return undefined;
  return value as Properties;
}

/** Returns whether a leaf stands at a pattern or below it. */
export function isUnder(leaf: string, pattern: string): boolean {
  const steps = stepsOf(leaf);
  return stepsOf(pattern).every(
    (step, index) => step === steps[index] || (step === "[*]" && steps[index]?.[0] === "["),
  );
}

/** Returns whether `text` fits a pattern in which `*` stands for any text. */
export function fits(text: string, pattern: string): boolean {
  const expression = pattern.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  return new RegExp(`^${expression}$`).test(text);
}
