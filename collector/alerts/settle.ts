import { type Condition, type RuleName, rules, type Severity } from "./rules.ts";
import type { AlertSettings, RuleSetting } from "./settings.ts";

/** An alert that is open: what it is known by. */
export interface OpenAlert {
  readonly id: string;
  readonly rule: string;
  readonly subject: string;
  readonly summary: string;
}

/** A condition that has lasted longer than its rule's grace. */
export interface DueCondition extends Condition {
  readonly severity: Severity;
}

/** What has to change in the alerts. */
export interface Settlement {
  readonly opened: readonly DueCondition[];
  /** Open ones whose summary reads otherwise by now. */
  readonly restated: readonly { readonly id: string; readonly summary: string }[];
  /** Open ones that no longer hold. */
  readonly ended: readonly string[];
}

/** Returns how a rule behaves by the settings. */
export function ruleSetting(rule: RuleName, settings: AlertSettings): RuleSetting {
  const own = settings.rules[rule] ?? {};
  const { severity, graceSeconds } = rules[rule];
  return {
    enabled: own.enabled ?? true,
    severity: own.severity ?? severity,
    graceSeconds: own.graceSeconds ?? graceSeconds,
  };
}

/**
 * Returns what has to change so that the open alerts are the conditions that have lasted their grace at `now`: one alert
 * for each rule and subject, however long it lasts.
 */
export function settle(
  open: readonly OpenAlert[],
  conditions: readonly Condition[],
  settings: AlertSettings,
  now: Date,
): Settlement {
  const keyOf = ({ rule, subject }: { rule: string; subject: string }): string => `${rule} ${subject}`;
  const due = new Map<string, DueCondition>();
  for (const condition of conditions) {
    const { enabled, severity, graceSeconds } = ruleSetting(condition.rule, settings);
    if (!enabled || now.getTime() < condition.since.getTime() + graceSeconds * 1_000) continue;
    due.set(keyOf(condition), { ...condition, severity });
  }
  const known = new Set(open.map(keyOf));
  return {
    opened: [...due].flatMap(([key, condition]) => (known.has(key) ? [] : [condition])),
    restated: open.flatMap((alert) => {
      const summary = due.get(keyOf(alert))?.summary;
      return summary === undefined || summary === alert.summary ? [] : [{ id: alert.id, summary }];
    }),
    ended: open.flatMap((alert) => (due.has(keyOf(alert)) ? [] : [alert.id])),
  };
}
