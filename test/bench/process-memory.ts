import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A process that lives, with what the kernel says of its memory. */
export interface ProcessMemory {
  readonly pid: number;
  readonly parent: number;
  /** The file that it runs. */
  readonly program: string;
  /** Its proportional set size in bytes: pages that several processes share count in parts, once in all. */
  readonly bytes: number;
}

/** Returns `root` and all that descend from it. A process that ends meanwhile is left out. */
export function processTree(root: number): readonly ProcessMemory[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(Number(name));
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree: ProcessMemory[] = [];
  const waiting = [{ pid: root, parent: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { pid, parent } = next;
    for (const child of children.get(pid) ?? []) waiting.push({ pid: child, parent: pid });
    const bytes = memoryOf(pid);
    const program = unlessGone(() => readlinkSync(`/proc/${pid}/exe`));
    if (bytes !== undefined && program !== undefined) tree.push({ pid, parent, program, bytes });
  }
  return tree;
}

/** Returns the proportional set size of a process in bytes; undefined where it has ended. */
export function memoryOf(pid: number): number | undefined {
  const rollup = unlessGone(() => readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  const [, kibibytes] = /^Pss:\s+(\d+) kB$/m.exec(rollup ?? "") ?? [];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

function parentOf(pid: number): number | undefined {
  const stat = unlessGone(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The name stands in brackets and may hold anything.
  const [, parent] = /^\S+ (\d+)/.exec(stat?.slice(stat.lastIndexOf(")") + 2) ?? "") ?? [];
  return parent === undefined ? undefined : Number(parent);
}

function unlessGone<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
