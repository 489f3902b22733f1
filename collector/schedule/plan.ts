import type { Plan, PlannedDue } from "../store/runs.ts";
import type { Cron } from "./cron.ts";

/** Why due times were passed over: no collector ran, the clock leapt over them, or this collector was held up. */
export type MissedWhy = "away" | "jumped" | "busy";

const words: Readonly<Record<MissedWhy, string>> = {
  away: "no collector ran",
  jumped: "the clock went forward, or the machine slept",
  busy: "the collector was held up until the next due time",
};

// Due times further back are not listed one by one.
const listedMs = 400 * 86_400_000;

/**
 * Returns what became due of a job in `(after, at]`, at most `limit` due times: the newest is to be run, late as it may
 * be; those before it are missed. Where there are more, the plan ends at the last it holds, and all of it is missed. With
 * `past`, the newest is missed too. Of an absence longer than 400 days, one row stands for all but those last 400.
 */
export function planOf(
  job: { readonly name: string; readonly cron: Cron; readonly after: Date; readonly reachMs: number },
  at: Date,
  limit: number,
  why: MissedWhy,
  past = false,
): Plan {
  const { name, cron, after, reachMs } = job;
  const listedFrom = new Date(at.getTime() - listedMs);
  const summary = after < listedFrom ? summaryOf(cron, after, listedFrom, why) : [];
  const from = summary.length > 0 ? listedFrom : after;
  const found = cron.dueTimes(from, at, limit);
  const whole = found.length < limit;
  const dues = found.map((due, index) => ({
    due,
    missed: past || !whole || index < found.length - 1 ? words[why] : null,
    answerable: at.getTime() - due.getTime() <= reachMs,
  }));
  return { name, after, until: whole ? at : (found.at(-1) ?? at), dues: [...summary, ...dues] };
}

function summaryOf(cron: Cron, after: Date, to: Date, why: MissedWhy): PlannedDue[] {
  const [first] = cron.dueTimes(after, to, 1);
  if (first === undefined) return [];
  const missed = `${words[why]}; this row stands for every due time until ${to.toISOString()}`;
  return [{ due: first, missed, answerable: false }];
}
