import type { SampleItem } from "../../api/types.ts";

/** A journal event as people read it: its name in words, and its details as `unit browser, code 1`. */
export interface EventText {
  readonly name: string;
  readonly details: string;
}

/** Returns the event that a journal line holds, in words; `null` for a line that is none. Details it does not know stay. */
export function eventText(item: SampleItem): EventText | null {
  const event = item.line.event;
  if (item.kind !== "event" || typeof event !== "object" || event === null) return null;
  const { name, ...details } = event as Record<string, unknown>;
  if (typeof name !== "string") return null;
  return {
    name: name.replaceAll("-", " "),
    details: Object.entries(details)
      .filter(([, value]) => value !== null && value !== "")
      .map(([field, value]) => `${field} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join(", "),
  };
}
