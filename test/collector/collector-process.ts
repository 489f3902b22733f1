import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../collector/main.ts", import.meta.url));

/** A collector as its users run it. */
export interface CollectorProcess {
  readonly process: ChildProcess;
  readonly url: string;
  output(): string;
  /** Sends a signal and returns how it ended and how long that took. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; ms: number }>;
}

/** Runs the collector until it ends by itself. */
export async function runToEnd(
  environment: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string }> {
  const child = begin(environment);
  let output = "";
  child.stdout?.on("data", (text: string) => {
    output += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

/**
 * Starts the collector and returns when it says over its IPC channel that it is ready. `before` are words that stand
 * before its own, such as those that enter a namespace.
 */
export async function startCollectorProcess(
  environment: Readonly<Record<string, string>>,
  before: readonly string[] = [],
): Promise<CollectorProcess> {
  const child = begin(environment, before);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (text: string) => {
      output += text;
    });
  }
  const url = await new Promise<string>((resolve, reject) => {
    child.once("message", (message) => resolve((message as { url: string }).url));
    child.once("exit", (code) => reject(new Error(`the collector ended with ${code}: ${output}`)));
  });
  return {
    process: child,
    url,
    output: () => output,
    async end(signal) {
      const from = Date.now();
      if (child.exitCode !== null || child.signalCode !== null) return { code: child.exitCode, ms: 0 };
      const ended = once(child, "exit") as Promise<[number | null]>;
      child.kill(signal);
      const [code] = await ended;
      return { code, ms: Date.now() - from };
    },
  };
}

function begin(environment: Readonly<Record<string, string>>, before: readonly string[] = []): ChildProcess {
  const [file = process.execPath, ...words] = [...before, process.execPath, main];
  const child = spawn(file, words, {
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin", HOST: "127.0.0.1", PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  child.stdout?.setEncoding("utf8");
  child.stderr?.setEncoding("utf8");
  return child;
}
