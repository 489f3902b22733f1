import { describe, expect, it } from "vitest";
import { type Message, type MessageKind, messagesDue, type TellableAlert } from "../../../collector/alerts/messages.ts";
import { isQuiet } from "../../../collector/alerts/quiet.ts";
import { usualSettings } from "../../../collector/alerts/settings.ts";
import { channelsFor } from "../../../collector/alerts/watch.ts";

const start = Date.UTC(2027, 2, 1);
const at = (seconds: number): Date => new Date(start + seconds * 1_000);

/** Runs the messages over time as the watch does, each step a few seconds; returns them with their seconds. */
function tell(
  alertsAt: (seconds: number) => readonly Omit<TellableAlert, "toldAt" | "escalatedAt">[],
  untilSeconds: number,
): (Message & { readonly seconds: number })[] {
  const told = new Map<string, Partial<Record<MessageKind, Date>>>();
  const last = new Map<string, Date>();
  const messages: (Message & { seconds: number })[] = [];
  for (let seconds = 0; seconds <= untilSeconds; seconds += 5) {
    const tellable = alertsAt(seconds)
      .map((alert) => ({
        ...alert,
        toldAt: told.get(alert.id)?.began ?? null,
        escalatedAt: told.get(alert.id)?.escalated ?? null,
      }))
      .filter(({ id }) => told.get(id)?.ended === undefined);
    const due = messagesDue(tellable, (rule, kind) => last.get(`${rule} ${kind}`) ?? null, usualSettings, at(seconds));
    for (const message of due.messages) {
      messages.push({ ...message, seconds });
      last.set(`${message.rule} ${message.kind}`, at(seconds));
      for (const id of message.alerts) told.set(id, { ...told.get(id), [message.kind]: at(seconds) });
    }
    for (const id of due.passedOver) {
      const ended = tellable.find((alert) => alert.id === id)?.resolvedAt !== null;
      told.set(id, { began: at(seconds), ...(ended ? { ended: at(seconds) } : {}) });
    }
  }
  return messages;
}

const silent = (id: number, openedAt: Date, resolvedAt: Date | null = null, acknowledgedAt: Date | null = null) => ({
  id: String(id),
  rule: "node-silent",
  severity: "critical" as const,
  summary: `a/${id} is silent.`,
  fix: "Look.",
  openedAt,
  resolvedAt,
  acknowledgedAt,
});

describe("a storm", () => {
  it("of 1,000 nodes that fail within a minute is two messages that name all of them", () => {
    const all = Array.from({ length: 1_000 }, (_, id) => silent(id, at(Math.floor(id * 0.06)), null, at(900)));
    const messages = tell(
      (now) =>
        all.filter(({ openedAt }) => openedAt <= at(now)).map((a) => (now < 900 ? { ...a, acknowledgedAt: null } : a)),
      3_600,
    );
    expect(messages.map(({ kind, seconds }) => [kind, seconds])).toEqual([
      ["began", 30],
      ["began", 330],
    ]);
    expect(messages.flatMap(({ alerts }) => alerts).sort()).toEqual(all.map(({ id }) => id).sort());
    expect(messages[1]?.title).toBe(`${messages[1]?.alerts.length} nodes are silent or down`);
    expect(messages[1]?.body).toContain("1000 of this kind are open in all.");
    expect(messages[1]?.body.split("\n")).toHaveLength(23);
  });

  it("of 50 nodes that are lost together is one message that says 50", () => {
    const messages = tell(() => Array.from({ length: 50 }, (_, id) => silent(id, at(0), null, null)), 600);
    expect(messages).toHaveLength(1);
    expect(messages[0]?.title).toBe("50 nodes are silent or down");
    expect(messages[0]?.body).toContain("And 30 more.");
  });
});

describe("one alert", () => {
  it("is told once, told again where nobody acknowledges it, and its end is told", () => {
    const messages = tell((now) => [silent(0, at(0), now >= 5_000 ? at(5_000) : null)], 6_000);
    expect(messages.map(({ kind, seconds, title }) => [kind, seconds, title])).toEqual([
      ["began", 30, "a/0 is silent."],
      ["escalated", 1_830, "Not acknowledged: a/0 is silent."],
      ["ended", 5_030, "Over: a/0 is silent."],
    ]);
  });

  it("that was acknowledged is not told again", () => {
    const messages = tell((now) => [silent(0, at(0), null, now >= 600 ? at(600) : null)], 6_000);
    expect(messages.map(({ kind }) => kind)).toEqual(["began"]);
  });

  it("that ended before it was told is not told at all", () => {
    expect(tell((now) => (now < 20 ? [silent(0, at(0))] : [silent(0, at(0), at(20))]), 6_000)).toEqual([]);
  });
});

describe("a channel", () => {
  const channel = (more: object) => ({
    kind: "slack" as const,
    url: "https://example.org",
    least: "warning" as const,
    escalation: false,
    ...more,
  });
  const settings = {
    ...usualSettings,
    channels: [
      channel({ name: "all", least: "info" }),
      channel({ name: "usual" }),
      channel({ name: "boss", escalation: true }),
    ],
  } as typeof usualSettings;

  it("takes what matters enough, and an escalating one what nobody acknowledged", () => {
    expect(channelsFor(settings, { kind: "began", severity: "info" })).toEqual(["all"]);
    expect(channelsFor(settings, { kind: "ended", severity: "critical" })).toEqual(["all", "usual"]);
    expect(channelsFor(settings, { kind: "escalated", severity: "critical" })).toEqual(["boss"]);
  });

  it("is quiet by the clock on the wall, over midnight and through changes of time", () => {
    const night = { from: "22:00", to: "07:00", zone: "Europe/Berlin" };
    const quiet = (instant: string): boolean => isQuiet(night, new Date(instant));
    expect(
      ["2027-01-01T20:59:59Z", "2027-01-01T21:00:00Z", "2027-01-02T05:59:59Z", "2027-01-02T06:00:00Z"].map(quiet),
    ).toEqual([false, true, true, false]);
    // On 28 March 2027 the clocks go forward at 01:00 UTC: seven o'clock comes an hour sooner.
    expect(["2027-03-28T04:59:59Z", "2027-03-28T05:00:00Z"].map(quiet)).toEqual([true, false]);
    // On 31 October 2027 they go back.
    expect(["2027-10-31T05:59:59Z", "2027-10-31T06:00:00Z"].map(quiet)).toEqual([true, false]);
    expect(isQuiet(undefined, new Date(0))).toBe(false);
    expect(isQuiet({ from: "12:00", to: "13:00", zone: "UTC" }, new Date("2027-01-01T12:30:00Z"))).toBe(true);
  });
});
