import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { z } from "zod";
import { readSamples, type SamplesHeader, type SamplesItem } from "../../cloud-init/agent/samples.ts";
import type { Reach } from "../../infra/inventory.ts";
import { ExplainedError } from "../../infra/problem.ts";
import type { JournalCursor } from "../store/journals.ts";

/** The exit codes of an agent's verbs. */
export const agentExit = { done: 0, usage: 64, unavailable: 69, tryLater: 75, refused: 77 } as const;

/** An agent that did not do what it was asked. `exit` is null where it never ended by itself or could not be started. */
export class AgentError extends ExplainedError {
  override readonly name = "AgentError";
  readonly exit: number | null;

  constructor(exit: number | null, message: string, options?: ErrorOptions) {
    super("agent", message, "Look at the node's agent and its log.", options);
    this.exit = exit;
  }
}

/** One answer of `samples`, whole and checked. */
interface Samples {
  readonly header: SamplesHeader;
  readonly items: readonly SamplesItem[];
  readonly more: boolean;
}

/** The verbs that the collector uses, however the node is reached. Verbs throw AgentError. */
export interface Agent {
  /** Returns the lines after the cursor, at most about `maxBytes` of them. @throws SamplesError when not whole. */
  samples(after: JournalCursor | null, maxBytes: number, signal: AbortSignal): Promise<Samples>;
  /** Returns what `status` says of the node. */
  status(signal: AbortSignal): Promise<AgentStatus>;
}

/** What an agent says of its node: whether anything of it runs, and which machine it is. */
export interface AgentStatus {
  readonly alive: boolean;
  /** Null where the agent answered that there is no node at all. */
  readonly machineId: string | null;
}

const StatusLine = z.object({ alive: z.boolean(), machineId: z.string() });

const verbMs = 30_000;
const keptErrorBytes = 2_000;

/** Returns the agent of a node that is reached this way. @throws ExplainedError for a way this release cannot go. */
export function agentOf(reach: Reach): Agent {
  if (reach.kind === "process") return processAgent(reach.directory);
  throw new ExplainedError(
    "reach-unknown",
    `A node is reached by ${reach.kind}, which this release of the collector cannot do.`,
    "Run a release that can.",
  );
}

/** Returns the agent in a node's folder on this machine: `<directory>/bin/agent`, run by argument words, never by a shell. */
function processAgent(directory: string): Agent {
  const program = join(directory, "bin", "agent");
  return {
    async samples(after, maxBytes, signal) {
      const from = after === null ? "start" : `${after.journal}:${after.n}`;
      const words = ["samples", "--after", from, "--max-bytes", String(maxBytes)];
      const { result, exit, errors } = await runVerb(program, words, signal, (child) =>
        // Chunks of a child's output are Buffers as long as no encoding is set.
        readSamples(child.stdout as AsyncIterable<Buffer>, { after }),
      );
      if (exit !== agentExit.done) throw new AgentError(exit, `${words[0]} ended with ${exit}: ${errors}`);
      if (result.status === "rejected") throw result.reason;
      const { header, items, trailer } = result.value;
      return { header, items, more: trailer.more };
    },
    async status(signal) {
      const { result, exit, errors } = await runVerb(program, ["status"], signal, async (child) => {
        const chunks: Buffer[] = [];
        for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
        return Buffer.concat(chunks).toString("utf8");
      });
      if (exit === agentExit.unavailable) return { alive: false, machineId: null };
      if (exit !== agentExit.done) throw new AgentError(exit, `status ended with ${exit}: ${errors}`);
      if (result.status === "rejected") throw result.reason;
      const line = StatusLine.safeParse(jsonIn(result.value));
      if (!line.success) throw new AgentError(exit, `status answered ${JSON.stringify(result.value.slice(0, 200))}`);
      return line.data;
    },
  };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function runVerb<Result>(
  program: string,
  words: readonly string[],
  signal: AbortSignal,
  read: (child: ChildProcess) => Promise<Result>,
): Promise<{ result: PromiseSettledResult<Result>; exit: number | null; errors: string }> {
  // In a process group of its own, so that whatever the agent starts ends with it at the deadline.
  const child = spawn(program, words, {
    cwd: "/",
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (errors.length < keptErrorBytes) errors += text;
  });
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
  };
  const deadline = setTimeout(stop, verbMs);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const [result, [exit]] = await Promise.all([Promise.allSettled([read(child)]), ended]);
    return { result: result[0], exit, errors: errors.trim().replaceAll("\n", " ") };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new AgentError(null, `${program} cannot be run: ${code ?? message}`, { cause: error });
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener("abort", stop);
  }
}
