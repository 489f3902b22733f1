import { makeRoomFirst } from "./advice.ts";
import { capacityMeaning, failuresIn } from "./capacity.ts";
import { candidatesOf } from "./placement.ts";
import type { FleetPlan } from "./plan.ts";
import { ExplainedError } from "./problem.ts";
import type { Placement, ProviderFacts } from "./providers/provider.ts";

/** One try of one machine, as `attempts.jsonl` keeps it. */
export interface Attempt {
  /** When it ended, RFC 3339 UTC. */
  readonly at: string;
  readonly stack: string;
  readonly provider: string;
  readonly account: string;
  readonly key: string;
  readonly domain: string;
  readonly shape: string;
  readonly outcome: "no room" | "limit" | "made";
  /** The line in which the provider said so. */
  readonly said?: string;
}

/** How a run of the engine ended, and all that it printed. */
interface Run {
  readonly code: number;
  readonly output: string;
}

/** What the search works with. Time comes in, so that a test need not wait for it. */
export interface Search {
  readonly stack: string;
  readonly providers: ReadonlyMap<string, ProviderFacts>;
  /** Returns the plan of the config as it is now. */
  readonly plan: () => Promise<FleetPlan>;
  /** Brings the stack up as the plan says. */
  readonly up: (plan: FleetPlan) => Promise<Run>;
  /** Returns what is there of the stack, each as `<type> <name>` in the words of the engine's diagnostics. */
  readonly made: () => Promise<ReadonlySet<string>>;
  /** Writes placements into the stack's config. */
  readonly place: (placements: ReadonlyMap<string, Placement>) => Promise<void>;
  readonly record: (attempts: readonly Attempt[]) => Promise<void>;
  readonly say: (text: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** How long to look, in milliseconds. */
  readonly forMs: number;
}

/** The pause after the first try, and how it grows to the longest. An account is asked once a minute at most. */
const firstPauseMs = 60_000;
const growth = 1.5;
const longestPauseMs = 15 * 60_000;

/**
 * Brings the stack up. Where a provider has no room for a machine, writes the next domain and shape for it into the config
 * and tries again, until there is room or the time is over. Only nodes whose machine the provider refused get another
 * place; what is there stays. Returns the run that ended without such a refusal, which may have failed for another reason.
 * Throws `limit-exceeded` where an account may have no more, `no-capacity` when the time is over.
 */
export async function searchPlacement(search: Search): Promise<Run> {
  const { stack, providers, now, forMs } = search;
  const start = now();
  const placed = new Map<string, Placement>();
  let pause = firstPauseMs;
  for (let tries = 1; ; tries++) {
    const plan = await search.plan();
    const begun = now();
    const run = await search.up(plan);
    const at = new Date(now()).toISOString();
    const failed = new Map<string, { readonly attempt: Attempt; readonly candidates: readonly Placement[] }>();
    const made = run.code === 0 ? new Set<string>() : await search.made();
    // What is there already is not moved, whatever its provider refuses to do with it.
    const failures = failuresIn(run.output).filter(({ type, name }) => !made.has(`${type} ${name}`));
    for (const group of plan.groups) {
      const facts = providers.get(group.provider);
      if (facts === undefined) continue;
      const account = plan.sites.find((site) => site.provider === group.provider)?.account ?? "";
      for (const { spec } of group.nodes) {
        if (spec.placement === null) continue;
        const attempt = { at, stack, provider: group.provider, account, key: spec.key, ...spec.placement };
        const failure = failures.find(
          ({ name, text }) => name === spec.key && capacityMeaning(text, facts) !== undefined,
        );
        const meaning = failure === undefined ? undefined : capacityMeaning(failure.text, facts);
        if (failure !== undefined && meaning !== undefined) {
          const said = lineOf(failure.text, facts);
          const outcome = meaning === "limit" ? "limit" : "no room";
          const shapes = facts.ledger.sizes[spec.size]?.shapes ?? [spec.shape];
          const candidates = candidatesOf(facts.domains(spec.region), shapes);
          failed.set(spec.key, { attempt: { ...attempt, outcome, said }, candidates });
        } else if (placed.has(spec.key) && failure === undefined && run.code === 0)
          failed.set(spec.key, { attempt: { ...attempt, outcome: "made" }, candidates: [] });
      }
    }
    const tried = [...failed.values()];
    await search.record(tried.map(({ attempt }) => attempt));
    const limits = tried.filter(({ attempt }) => attempt.outcome === "limit");
    if (limits.length > 0) throw limitReached(limits.map(({ attempt }) => attempt));
    const refused = tried.filter(({ attempt }) => attempt.outcome === "no room");
    if (refused.length === 0 || forMs === 0) return run;

    const next = new Map<string, Placement>();
    for (const { attempt, candidates } of refused) next.set(attempt.key, after(attempt, candidates));
    await search.place(next);
    for (const [key, placement] of next) placed.set(key, placement);
    const wait = Math.max(0, begun + pause - now());
    if (now() + wait - start > forMs)
      throw noRoom(
        refused.map(({ attempt }) => attempt),
        tries,
        forMs,
      );
    const places = [...next].map(([key, { domain, shape }]) => `${key} in ${domain} as ${shape}`);
    search.say(
      `no room after ${tries} ${tries === 1 ? "try" : "tries"}; in ${Math.round(wait / 1000)} s next ${places.join(", ")}`,
    );
    await search.sleep(wait);
    pause = Math.min(pause * growth, longestPauseMs);
  }
}

/** Returns the candidate behind the one that was tried; the first again behind the last. */
function after({ domain, shape }: Placement, candidates: readonly Placement[]): Placement {
  const index = candidates.findIndex((each) => each.domain === domain && each.shape === shape);
  return candidates[(index + 1) % candidates.length] ?? { domain, shape };
}

/** Returns the line of a provider's text that says why. */
function lineOf(text: string, { capacity }: ProviderFacts): string {
  const patterns = [...(capacity?.limit ?? []), ...(capacity?.exhausted ?? [])];
  const line = text.split("\n").find((each) => patterns.some((pattern) => pattern.test(each))) ?? text;
  return line.replace(/^[\s*]*(?:error: )?/, "").slice(0, 300);
}

function limitReached(attempts: readonly Attempt[]): ExplainedError {
  const lines = attempts.map(({ key, provider, said }) => `  ${key} on ${provider}: ${said}`).join("\n");
  return new ExplainedError(
    "limit-exceeded",
    `An account may have no more machines of this kind, so no other place helps:\n${lines}\n`,
    `Lower the count, choose another size, or ask the provider for a higher limit; what was made stays. Then run npm run up again. ${makeRoomFirst}`,
  );
}

function noRoom(attempts: readonly Attempt[], tries: number, forMs: number): ExplainedError {
  const keys = attempts.map(({ key }) => key).join(", ");
  return new ExplainedError(
    "no-capacity",
    `There was no room for ${keys} in ${tries} ${tries === 1 ? "try" : "tries"} over ${durationText(forMs)}.`,
    "The config names the place that comes next. Run npm run up again later, with --for for longer, or choose another region or size.",
  );
}

/** Returns a length of time in the words of `--for`: `6h`, `90m`, `45s`. */
export function durationText(ms: number): string {
  const units = [
    [3_600_000, "h"],
    [60_000, "m"],
  ] as const;
  const [unit, letter] = units.find(([each]) => ms >= each && ms % each === 0) ?? [1000, "s"];
  return `${ms / unit}${letter}`;
}
