import type { NodeEvent } from "./line.ts";

/**
 * Returns the event that a unit of the machine reports by the name of the service instance that it starts, or
 * `undefined` where the words are none of ours:
 * `boot` · `started:<unit>` · `ended:<unit>:<result>:<code>:<status>` · `action:<layer>:<id>:<outcome>`.
 * Result, code and status are systemd's own ($SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS; systemd.exec(5)).
 */
export function hookEvent(words: string): NodeEvent | undefined {
  const [kind, first = "", ...rest] = words.split(":");
  const [second = "", third = "", fourth = ""] = rest;
  if (kind === "boot" && first === "" && rest.length === 0) return { name: "boot" };
  if (kind === "started" && isName(first) && rest.length === 0) return { name: "unit-started", unit: first };
  if (kind === "ended" && isName(first) && rest.length <= 3) {
    const signal = third === "killed" || third === "dumped" || third === "";
    return {
      name: second === "oom-kill" ? "unit-out-of-memory" : "unit-exited",
      unit: first,
      result: second,
      code: !signal && /^\d+$/.test(fourth) ? Number(fourth) : null,
      signal: signal && fourth !== "" ? `SIG${fourth}` : null,
    };
  }
  if (kind === "action" && /^[A-Za-z0-9_-]{1,80}$/.test(second) && rest.length === 2)
    return { name: "action", verb: "recover", action: second, layer: first, outcome: third };
  return undefined;
}

function isName(text: string): boolean {
  return /^[a-z][a-z0-9-]*$/.test(text);
}
