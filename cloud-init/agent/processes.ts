import { readdirSync, readFileSync } from "node:fs";

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
}

/**
 * Returns the numbers of all processes of the unit whose first process is `leader`: its session, and whatever descends
 * from one of these (a browser's helpers may begin a session of their own).
 */
export function processesOf(leader: number): number[] {
  const all = runningProcesses();
  const found = new Set(all.filter(({ pid, session }) => pid === leader || session === leader).map(({ pid }) => pid));
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

/** Returns the proportional set size of these processes in bytes: memory they share is shared out between its users. */
export function proportionalSetSize(pids: readonly number[]): number {
  let bytes = 0;
  for (const pid of pids) {
    const text = readIfAlive(`/proc/${pid}/smaps_rollup`);
    const kib = text === undefined ? null : /^Pss:\s+(\d+) kB$/m.exec(text);
    if (kib !== null) bytes += Number(kib[1]) * 1024;
  }
  return bytes;
}

function runningProcesses(): Process[] {
  const all: Process[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readIfAlive(`/proc/${name}/stat`);
    if (stat === undefined) continue;
    // The name in brackets may hold anything: the other fields stand behind the last bracket.
    const [state, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state !== "Z") all.push({ pid: Number(name), parent: Number(parent), session: Number(session) });
  }
  return all;
}

/** A process may end at any moment between being listed and being read. */
function readIfAlive(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}
