import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { AgentError, keptErrorBytes, type VerbRunner } from "./agent.ts";

/** How long a verb may take on this machine. */
const verbMs = 30_000;

/**
 * Returns what runs the verbs of the agent in a node's folder on this machine: `<directory>/bin/agent`, by argument
 * words, never by a shell.
 */
export function processVerbs(directory: string): VerbRunner {
  const program = join(directory, "bin", "agent");
  return {
    async run(words, signal, read) {
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
        // Chunks of a child's output are Buffers as long as no encoding is set.
        const output = child.stdout as AsyncIterable<Buffer>;
        const [result, [exit]] = await Promise.all([Promise.allSettled([read(output)]), ended]);
        return { result: result[0], exit, errors: errors.trim().replaceAll("\n", " ") };
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        throw new AgentError(null, `${program} cannot be run: ${code ?? message}`, { cause: error });
      } finally {
        clearTimeout(deadline);
        signal.removeEventListener("abort", stop);
      }
    },
    // Nothing is held: each verb is a process of its own.
    close: () => undefined,
  };
}
