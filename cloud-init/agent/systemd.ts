import { execFileSync } from "node:child_process";
import { constants } from "node:os";
import { serviceOf } from "../machine/layout.ts";
import type { UnitState, UnitStatus } from "./folder.ts";

/** The workload's units as the machine's own systemd keeps them. */

const properties = [
  "ActiveState",
  "SubState",
  "MainPID",
  "ActiveEnterTimestamp",
  "InactiveEnterTimestamp",
  "ExecMainCode",
  "ExecMainStatus",
  "ExecMainExitTimestamp",
];

/** Returns what systemd says of a unit now; `restarts` is what the agent has counted. Throws where systemctl fails. */
export function systemdUnit(name: string, restarts: number): UnitStatus {
  const text = execFileSync(
    "systemctl",
    ["show", "--timestamp=unix", `--property=${properties.join(",")}`, serviceOf(name)],
    { encoding: "utf8", timeout: 20_000 },
  );
  return unitIn(name, text, restarts);
}

/** Returns the unit that the text of `systemctl show --timestamp=unix` describes. */
export function unitIn(name: string, text: string, restarts: number): UnitStatus {
  const of = new Map(
    text.split("\n").map((line): [string, string] => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const instant = (key: string): string | undefined => {
    const seconds = Number(/^@(\d+)$/.exec(of.get(key) ?? "")?.[1]);
    return Number.isFinite(seconds) && seconds > 0 ? new Date(seconds * 1000).toISOString() : undefined;
  };
  const state = stateOf(of.get("ActiveState"), of.get("SubState"));
  const pid = Number(of.get("MainPID"));
  const endedAt = instant("ExecMainExitTimestamp");
  const since = state === "up" ? instant("ActiveEnterTimestamp") : instant("InactiveEnterTimestamp");
  return {
    name,
    state,
    pid: state === "up" && pid > 0 ? pid : null,
    since: since ?? endedAt ?? new Date(0).toISOString(),
    restarts,
    lastExit:
      endedAt === undefined
        ? null
        : { ...exitOf(Number(of.get("ExecMainCode")), Number(of.get("ExecMainStatus"))), at: endedAt },
  };
}

function stateOf(active: string | undefined, sub: string | undefined): UnitState {
  if (active === "active" || active === "reloading") return "up";
  if (sub === "auto-restart") return "waiting";
  return active === "activating" ? "starting" : "stopped";
}

/** CLD_EXITED is 1; 2 and 3 are ends by a signal, whose number is the status (waitid(2)). */
function exitOf(code: number, status: number): { readonly code: number | null; readonly signal: string | null } {
  if (code === 1) return { code: status, signal: null };
  const signal = Object.entries(constants.signals).find(([, number]) => number === status)?.[0];
  return { code: null, signal: signal ?? String(status) };
}

/** Has systemd do something with services. Throws where it cannot. */
export function systemctl(...words: readonly string[]): void {
  execFileSync("systemctl", words, { stdio: ["ignore", "ignore", "inherit"], timeout: 150_000 });
}
