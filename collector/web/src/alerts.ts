import type { AlertItem } from "../../api/types.ts";
import type { Tone } from "./tone.ts";

/** Open alerts of one rule. */
export interface AlertGroup {
  readonly rule: string;
  readonly tone: Tone;
  readonly alerts: readonly AlertItem[];
}

const ranks = ["critical", "warning", "info"] as const;
const tones = { critical: "bad", warning: "warn", info: "noted" } as const satisfies Record<
  AlertItem["severity"],
  Tone
>;

/** Returns the tone in which an alert's severity is shown. */
export function toneOf({ severity }: Pick<AlertItem, "severity">): Tone {
  return tones[severity];
}

/**
 * Returns the alerts that nobody acknowledged by their rule, what matters most first and then what began first, and those
 * that somebody sees to.
 */
export function sortAlerts(alerts: readonly AlertItem[]): {
  readonly groups: readonly AlertGroup[];
  readonly acknowledged: readonly AlertItem[];
} {
  const rank = ({ severity }: AlertItem): number => ranks.indexOf(severity);
  const sorted = alerts.toSorted(
    (one, other) =>
      rank(one) - rank(other) || one.since.localeCompare(other.since) || Number(one.id) - Number(other.id),
  );
  const waiting = sorted.filter(({ acknowledgedAt }) => acknowledgedAt === null);
  const groups = [...new Set(waiting.map(({ rule }) => rule))].map((rule) => {
    const own = waiting.filter((alert) => alert.rule === rule);
    return { rule, tone: own[0] === undefined ? "unknown" : toneOf(own[0]), alerts: own } as const;
  });
  return { groups, acknowledged: sorted.filter(({ acknowledgedAt }) => acknowledgedAt !== null) };
}
