import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../harness/checkout.ts";

/** A limit of memory that the kernel holds a group of processes to. */
export interface MemoryLimit {
  /** What holds it, in words. */
  readonly by: string;
  /** The words before a program's own that start it inside the limit. */
  readonly words: readonly string[];
  /** How often the kernel had to end a process because nothing more could be freed. */
  killed(): number;
  /** Ends the limit once its processes have ended. */
  end(): Promise<void>;
}

interface Controller {
  readonly root: string;
  readonly limit: string;
  readonly events: string;
}

// The second version's hierarchy is the one in use where it has the controller; the first version has one of its own.
const controllers: readonly (Controller & { readonly by: string })[] = [
  { by: "a control group (v2)", root: "/sys/fs/cgroup", limit: "memory.max", events: "memory.events" },
  {
    by: "a control group (v1)",
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    events: "memory.oom_control",
  },
];

/** Returns a limit of `bytes` for whatever is started by its words, or a sentence that says why there can be none here. */
export function limitMemory(bytes: number): MemoryLimit | string {
  const name = `gradientlab-${process.pid}`;
  const reasons: string[] = [];
  for (const { by, root, limit, events } of controllers) {
    const folder = join(root, name);
    try {
      mkdirSync(folder);
    } catch (error) {
      reasons.push((error as Error).message);
      continue;
    }
    if (!existsSync(join(folder, limit))) {
      rmdirSync(folder);
      reasons.push(`${root} has no memory controller`);
      continue;
    }
    writeFileSync(join(folder, limit), String(bytes));
    return {
      by,
      words: ["sh", "-c", 'echo $$ > "$0" && exec "$@"', join(folder, "cgroup.procs")],
      killed: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(folder, events), "utf8"))?.[1] ?? 0),
      async end() {
        await until("the processes inside the limit to end", 60_000, () => {
          return readFileSync(join(folder, "cgroup.procs"), "utf8") === "";
        });
        rmdirSync(folder);
      },
    };
  }
  return reasons.join("; ");
}
