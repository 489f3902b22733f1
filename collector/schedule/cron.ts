import cron from "node-cron";
import { ExplainedError } from "../../infra/problem.ts";

/** The due times of a node-cron expression, in UTC. Pure: the clock, the machine's zone and daylight saving have no part. */
export interface Cron {
  readonly expression: string;
  /** Returns the due times in `(after, until]`, oldest first, at most `limit` of them. */
  dueTimes(after: Date, until: Date, limit: number): Date[];
  /** Returns the first due time after `after`. @throws ExplainedError where there is none within eight years. */
  next(after: Date): Date;
}

const dayMs = 86_400_000;
// Two leap days are at most eight years apart.
const farthestDays = 8 * 366;

const known = new Map<string, Cron>();

/** Returns the due times of `expression`; five fields, or six with seconds first. @throws ExplainedError when it is none. */
export function cronOf(expression: string): Cron {
  const found = known.get(expression);
  if (found !== undefined) return found;
  if (!cron.validate(expression)) throw unusable(expression, "it is no cron expression");
  const made = measured(expression);
  known.set(expression, made);
  return made;
}

/**
 * node-cron can say whether an instant matches, and is slow at it. In UTC every field matches by itself, so one instant
 * that matches tells all times of the day by changing one field at a time; what is left to ask is whether a day matches.
 */
function measured(expression: string): Cron {
  const task = cron.createTask(expression, () => undefined, { timezone: "UTC" });
  const [some] = task.getNextRuns(1);
  if (some === undefined) throw unusable(expression, "it never comes");
  const base = some.getTime();
  const matching = (count: number, unitMs: number): number[] => {
    const here = Math.floor(base / unitMs) % count;
    return Array.from({ length: count }, (_, value) => value).filter((value) =>
      task.match(new Date(base + (value - here) * unitMs)),
    );
  };
  const hours = matching(24, 3_600_000);
  const minutes = matching(60, 60_000);
  const seconds = matching(60, 1_000);
  const times = hours.flatMap((hour) =>
    minutes.flatMap((minute) => seconds.map((second) => ((hour * 60 + minute) * 60 + second) * 1_000)),
  );
  const timeOfBase = base % dayMs;
  const days = new Map<number, boolean>();
  const isDay = (day: number): boolean => {
    let matches = days.get(day);
    if (matches === undefined) {
      matches = task.match(new Date(day * dayMs + timeOfBase));
      if (days.size > 2 * farthestDays) days.clear();
      days.set(day, matches);
    }
    return matches;
  };

  const dueTimes = (after: Date, until: Date, limit: number): Date[] => {
    const found: Date[] = [];
    const [from, to] = [after.getTime(), until.getTime()];
    for (let day = Math.floor(from / dayMs); day * dayMs <= to && found.length < limit; day++) {
      if (!isDay(day)) continue;
      const start = day * dayMs;
      for (let index = firstAbove(times, from - start); index < times.length && found.length < limit; index++) {
        const at = start + (times[index] as number);
        if (at > to) break;
        found.push(new Date(at));
      }
    }
    return found;
  };
  return {
    expression,
    dueTimes,
    next(after) {
      const [first] = dueTimes(after, new Date(after.getTime() + farthestDays * dayMs), 1);
      if (first === undefined) throw unusable(expression, "it never comes");
      return first;
    },
  };
}

/** Returns the index of the first of the sorted `values` that is greater than `bound`. */
function firstAbove(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}

function unusable(expression: string, why: string): ExplainedError {
  return new ExplainedError(
    "cron",
    `The schedule ${JSON.stringify(expression)} cannot be used: ${why}.`,
    'Give a node-cron expression in UTC, such as "5 0 * * *".',
  );
}
