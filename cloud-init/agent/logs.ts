import { execFileSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { serviceOf } from "../machine/layout.ts";
import { type NodeFile, nodePaths } from "./folder.ts";
import { redacted, secretsIn } from "./redaction.ts";

const tailBytes = 1024 * 1024;

/**
 * Returns the last `count` lines of a unit's log, redacted, oldest first, or `undefined` where the unit has none. The
 * file before the last rotation is read too where the newest one is short.
 */
export function logTail(directory: string, node: NodeFile, unit: string, count: number): string[] | undefined {
  const lines = node.supervision === "systemd" ? systemdLog(node, unit, count) : fileLog(directory, unit, count);
  if (lines === undefined) return undefined;
  const known = secretsIn(node.network?.settings);
  return lines.slice(-count).map((line) => redacted(line, known));
}

function fileLog(directory: string, unit: string, count: number): string[] | undefined {
  const file = nodePaths(directory).log(unit);
  const newest = tailOf(file);
  if (newest === undefined) return undefined;
  return newest.length >= count ? newest : [...(tailOf(`${file}.1`) ?? []), ...newest];
}

/** On a machine the system's own journal has the lines, of the workload's units and of ours by name. */
function systemdLog(node: NodeFile, unit: string, count: number): string[] | undefined {
  const ours = ["agent", "act", "firewall", "browser-install"];
  if (!ours.includes(unit) && !node.units.some(({ name }) => name === unit)) return undefined;
  const words = ["--quiet", "--output=cat", `--unit=${serviceOf(unit)}`, `--lines=${count}`];
  const text = execFileSync("journalctl", words, { encoding: "utf8", timeout: 20_000, maxBuffer: 64 * 1024 * 1024 });
  return text.split("\n").filter((line) => line !== "");
}

function tailOf(file: string): string[] | undefined {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(0, size - tailBytes);
    const buffer = Buffer.alloc(size - from);
    const read = readSync(fd, buffer, 0, buffer.length, from);
    const lines = buffer.toString("utf8", 0, read).split("\n");
    // A cut at the front leaves part of a line; the end has an empty piece behind the last newline.
    if (from > 0) lines.shift();
    if (lines.at(-1) === "") lines.pop();
    return lines;
  } finally {
    closeSync(fd);
  }
}
