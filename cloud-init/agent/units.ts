import { existsSync } from "node:fs";
import { places } from "../machine/layout.ts";
import { withFlock } from "./flock.ts";
import {
  type NodeFile,
  nodePaths,
  readJson,
  readMemory,
  type UnitStatus,
  type UnitsFile,
  writeMemory,
} from "./folder.ts";
import { systemdUnit } from "./systemd.ts";

/** Returns the node's units as whoever keeps them running says. Throws where systemd does not answer. */
export function unitsOf(directory: string, node: NodeFile): readonly UnitStatus[] {
  const paths = nodePaths(directory);
  if (node.supervision !== "systemd") return readJson<UnitsFile>(paths.units)?.units ?? [];
  const restarts = readMemory<Readonly<Record<string, number>>>(paths.restarts) ?? {};
  return node.units.map(({ name }) => systemdUnit(name, restarts[name] ?? 0));
}

/** Counts an end of a unit on a machine: systemd forgets its own count when a unit is started by hand. */
export function countRestart(directory: string, unit: string): void {
  const { restarts } = nodePaths(directory);
  withFlock(`${restarts}.lock`, "exclusive", 10, () => {
    const before = readMemory<Readonly<Record<string, number>>>(restarts) ?? {};
    writeMemory(restarts, { ...before, [unit]: (before[unit] ?? 0) + 1 });
  });
}

/** Returns whether the unit is down because the machine has no browser. */
export function lacksBrowser(node: NodeFile, unit: string): boolean {
  const needs = node.units.find(({ name }) => name === unit)?.exec.includes("{browser}") === true;
  return node.supervision === "systemd" && needs && !existsSync(places.browser);
}
