import { type RuleName, rules, type Severity, severities } from "./rules.ts";
import type { AlertSettings } from "./settings.ts";

/** An alert of which something may have to be told. */
export interface TellableAlert {
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly summary: string;
  readonly fix: string;
  readonly openedAt: Date;
  readonly resolvedAt: Date | null;
  readonly acknowledgedAt: Date | null;
  readonly toldAt: Date | null;
  readonly escalatedAt: Date | null;
}

/** What a message tells of its alerts. */
export type MessageKind = "began" | "escalated" | "ended";

/** One message about alerts of one rule. */
export interface Message {
  readonly rule: string;
  readonly kind: MessageKind;
  readonly severity: Severity;
  readonly title: string;
  readonly body: string;
  /** Ids of the alerts it tells of. */
  readonly alerts: readonly string[];
}

/** What is to be told now. */
export interface Telling {
  readonly messages: readonly Message[];
  /** Alerts of whose beginning nothing is to be told any more: they ended, or were acknowledged, before it was. */
  readonly passedOver: readonly string[];
}

/** Alerts that one message names; the others are a number in it. */
const named = 20;

/**
 * Returns the messages that are due at `now`: for each rule at most one of each kind, at the least
 * `groupIntervalSeconds` after the one before (`lastAt`, by rule and kind), with all that has gathered meanwhile. So the
 * number of messages does not grow with the number of nodes that fail.
 */
export function messagesDue(
  alerts: readonly TellableAlert[],
  lastAt: (rule: string, kind: MessageKind) => Date | null,
  settings: AlertSettings,
  now: Date,
): Telling {
  const untold = alerts.filter(({ toldAt }) => toldAt === null);
  const isOver = (alert: TellableAlert): boolean => alert.resolvedAt !== null || alert.acknowledgedAt !== null;
  const messages: Message[] = [];
  for (const rule of [...new Set(alerts.map((alert) => alert.rule))].sort()) {
    const own = alerts.filter((alert) => alert.rule === rule);
    const open = own.filter(({ resolvedAt }) => resolvedAt === null);
    const groups: readonly (readonly [MessageKind, readonly TellableAlert[], (alert: TellableAlert) => Date])[] = [
      ["began", untold.filter((alert) => alert.rule === rule && !isOver(alert)), (alert) => alert.openedAt],
      ["escalated", open.filter((alert) => isUnheard(alert, settings, now)), (alert) => alert.toldAt ?? now],
      [
        "ended",
        own.filter(({ toldAt, resolvedAt }) => toldAt !== null && resolvedAt !== null),
        (alert) => alert.resolvedAt ?? now,
      ],
    ];
    for (const [kind, group, since] of groups) {
      if (group.length === 0) continue;
      const oldest = Math.min(...group.map((alert) => since(alert).getTime()));
      const last = lastAt(rule, kind)?.getTime() ?? Number.NEGATIVE_INFINITY;
      const waited = now.getTime() >= oldest + settings.groupWaitSeconds * 1_000;
      if (waited && now.getTime() >= last + settings.groupIntervalSeconds * 1_000)
        messages.push(messageOf(rule, kind, group, open.length));
    }
  }
  return { messages, passedOver: untold.filter(isOver).map(({ id }) => id) };
}

/** Whether a critical alert was told and nobody said within the time set that they saw to it. */
function isUnheard(alert: TellableAlert, { escalateAfterMinutes }: AlertSettings, now: Date): boolean {
  const { severity, toldAt, acknowledgedAt, escalatedAt } = alert;
  if (escalateAfterMinutes === null || severity !== "critical" || toldAt === null) return false;
  if (acknowledgedAt !== null || escalatedAt !== null) return false;
  return now.getTime() >= toldAt.getTime() + escalateAfterMinutes * 60_000;
}

const prefixes: Readonly<Record<MessageKind, string>> = {
  began: "",
  escalated: "Not acknowledged: ",
  ended: "Over: ",
};

function messageOf(rule: string, kind: MessageKind, group: readonly TellableAlert[], open: number): Message {
  const [first] = group;
  const many = Object.hasOwn(rules, rule) ? rules[rule as RuleName].many : `alerts of the rule ${rule}`;
  const what = group.length === 1 && first !== undefined ? first.summary : `${group.length} ${many}`;
  const lines = group.length === 1 ? [] : group.slice(0, named).map(({ summary }) => summary);
  const more = group.length - lines.length;
  if (group.length > 1 && more > 0) lines.push(`And ${more} more.`);
  if (kind !== "ended") {
    if (first !== undefined) lines.push(first.fix);
    if (open > group.length) lines.push(`${open} of this kind are open in all.`);
  } else if (open > 0) {
    lines.push(`${open} of this kind are still open.`);
  }
  return {
    rule,
    kind,
    severity: severities[Math.max(...group.map(({ severity }) => severities.indexOf(severity)))] ?? "critical",
    title: `${prefixes[kind]}${what}`,
    body: lines.join("\n"),
    alerts: group.map(({ id }) => id),
  };
}
