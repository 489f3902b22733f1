import type { FleetPlan } from "./plan.ts";
import type { ProviderFacts } from "./providers/provider.ts";

/** What a provider said of one resource that it could not make. */
export interface Failure {
  /** The resource's name in the program: a machine's is the node's key. */
  readonly name: string;
  /** Its type in the words of the engine's diagnostics. */
  readonly type: string;
  readonly text: string;
}

/** Returns what the engine's closing diagnostics tell of each resource that failed. */
export function failuresIn(output: string): Failure[] {
  const said = output.split(/^Diagnostics:$/m).at(-1) ?? "";
  if (said === output) return [];
  const failures: Failure[] = [];
  let head: { readonly type: string; readonly name: string } | undefined;
  let lines: string[] = [];
  const end = (): void => {
    if (head !== undefined && lines.some((line) => /^ {4}error:/.test(line)))
      failures.push({ ...head, text: lines.join("\n") });
  };
  for (const line of said.split("\n")) {
    const [, type, name] = /^ {2}(\S+) \((.+)\):$/.exec(line) ?? [];
    const over = /^\S/.test(line);
    if (name === undefined && !over) {
      lines.push(line);
      continue;
    }
    end();
    head = type === undefined || name === undefined ? undefined : { type, name };
    lines = [];
    if (over) break;
  }
  end();
  return failures;
}

/** Returns what a provider's text means: no room now, an account's limit, or `undefined` for anything else. */
export function capacityMeaning(text: string, facts: ProviderFacts): "exhausted" | "limit" | undefined {
  if (facts.capacity?.limit.some((pattern) => pattern.test(text))) return "limit";
  return facts.capacity?.exhausted.some((pattern) => pattern.test(text)) ? "exhausted" : undefined;
}

/** Returns a sentence for each provider that is often out of machines which the plan has, as its ledger says. */
export function scarceMachines(
  { groups }: Pick<FleetPlan, "groups">,
  providers: ReadonlyMap<string, ProviderFacts>,
): string[] {
  const scarce = new Map<string, { shapes: Set<string>; groups: Set<string> }>();
  for (const { name, provider, nodes } of groups)
    for (const { spec } of nodes) {
      if (providers.get(provider)?.ledger.shapes[spec.shape]?.scarce !== true) continue;
      const found = scarce.get(provider) ?? { shapes: new Set(), groups: new Set() };
      scarce.set(provider, { shapes: found.shapes.add(spec.shape), groups: found.groups.add(name) });
    }
  return [...scarce].map(
    ([provider, found]) =>
      `${provider} is often out of ${[...found.shapes].join(" and ")} (${[...found.groups].join(", ")}): npm run up goes on looking for room, where a plain pulumi up stops.`,
  );
}
