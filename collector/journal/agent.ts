import { z } from "zod";
import { readSamples, SamplesError, type SamplesHeader, type SamplesItem } from "../../cloud-init/agent/samples.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { sentenceOf } from "../log.ts";
import type { RecoverLayer } from "../recovery/rungs.ts";
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

/** A node that shows another host key than those that are pinned: to wait changes nothing. */
export class HostKeyRefused extends AgentError {
  override readonly code = "host-key";
}

/** The verbs that the collector uses, however the node is reached. Verbs throw AgentError. */
export interface Agent {
  /** Returns the lines after the cursor, at most about `maxBytes` of them. @throws SamplesError when not whole. */
  samples(after: JournalCursor | null, maxBytes: number, signal: AbortSignal): Promise<Samples>;
  /** Returns what `status` says of the node. */
  status(signal: AbortSignal): Promise<AgentStatus>;
  /** Has the node do an action, once for each id, and returns what it says of it. Throws nothing. */
  recover(layer: RecoverLayer, action: string, signal: AbortSignal): Promise<RecoverAnswer>;
  /** Lets go of what is held for the next verb. A verb that is asked for afterwards takes it up again. */
  close(): void;
}

/** What an agent says of its node: whether anything of it runs, and which machine it is. */
export interface AgentStatus {
  readonly alive: boolean;
  /** Null where the agent answered that there is no node at all. */
  readonly machineId: string | null;
}

/**
 * What a node says of an action. `later`: it has not done it yet and keeps it. `silent`: it was not reached, or did not
 * say; `heard` tells whether it may know of the action.
 */
export type RecoverAnswer =
  | { readonly kind: "done" }
  | { readonly kind: "failed" | "refused" | "unavailable" | "later"; readonly detail: string }
  | { readonly kind: "silent"; readonly heard: boolean; readonly detail: string };

/** How a verb ended: what `read` made of its output, its exit code (null: it never ended by itself), its complaints. */
export interface VerbEnd<Result> {
  readonly result: PromiseSettledResult<Result>;
  readonly exit: number | null;
  readonly errors: string;
}

/** A way to run an agent's verbs. */
export interface VerbRunner {
  /** Runs a verb and gives its output to `read` as it comes. @throws AgentError where it cannot be run at all. */
  run<Result>(
    words: readonly string[],
    signal: AbortSignal,
    read: (output: AsyncIterable<Buffer>) => Promise<Result>,
  ): Promise<VerbEnd<Result>>;
  close(): void;
}

/** How much of a verb's complaints is kept. */
export const keptErrorBytes = 2_000;

/** Header, trailer and one line beyond the last one that fits. */
const samplesOverheadBytes = 512 * 1024;
const statusBytes = 256 * 1024;
const actionBytes = 64 * 1024;

const ActionLine = z.object({ outcome: z.enum(["done", "failed", "refused"]) });
const StatusLine = z.object({ alive: z.boolean(), machineId: z.string() });

/** Returns the agent whose verbs are run by `runner`. */
export function agentRunBy(runner: VerbRunner): Agent {
  return {
    async samples(after, maxBytes, signal) {
      const from = after === null ? "start" : `${after.journal}:${after.n}`;
      const words = ["samples", "--after", from, "--max-bytes", String(maxBytes)];
      const most = maxBytes + samplesOverheadBytes;
      const end = await runner.run(words, signal, (output) => readSamples(atMost(most, output), { after }));
      const { header, items, trailer } = resultOf("samples", end);
      return { header, items, more: trailer.more };
    },
    async status(signal) {
      const end = await runner.run(["status"], signal, (output) => textOf(statusBytes, output));
      if (end.exit === agentExit.unavailable) return { alive: false, machineId: null };
      const text = resultOf("status", end);
      const line = StatusLine.safeParse(jsonIn(text));
      if (!line.success) throw new AgentError(end.exit, `status answered ${JSON.stringify(text.slice(0, 200))}`);
      return line.data;
    },
    async recover(layer, action, signal) {
      try {
        const words = ["recover", layer, "--action", action];
        return answerOf(await runner.run(words, signal, (output) => textOf(actionBytes, output)));
      } catch (error) {
        return { kind: "silent", heard: false, detail: sentenceOf(error) };
      }
    },
    close: () => runner.close(),
  };
}

async function textOf(bytes: number, output: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of atMost(bytes, output)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** Returns what a `recover` that ended so says. What the node tried and could not do it tells on its output as well. */
function answerOf({ result, exit, errors }: VerbEnd<string>): RecoverAnswer {
  const detail = errors === "" ? `it ended with ${exit ?? "no exit code"}` : errors;
  const told = ActionLine.safeParse(result.status === "fulfilled" ? jsonIn(result.value) : undefined);
  switch (exit) {
    case agentExit.done:
      return { kind: "done" };
    case agentExit.unavailable:
      return { kind: "unavailable", detail };
    case agentExit.refused:
      return { kind: "refused", detail };
    case agentExit.tryLater:
      return { kind: told.success && told.data.outcome === "failed" ? "failed" : "later", detail };
    case null:
      return { kind: "silent", heard: true, detail };
    default:
      return { kind: "failed", detail };
  }
}

/** Returns what was read of a verb that was done. An exit code of its own says more than what its output lacks. */
function resultOf<Result>(verb: string, { result, exit, errors }: VerbEnd<Result>): Result {
  const broken = result.status === "rejected" && !brokeOff(result.reason);
  if (exit !== agentExit.done && !(exit === null && broken))
    throw new AgentError(exit, `${verb} ended with ${exit ?? "no exit code"}: ${errors}`);
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** Whether a reader failed because the output ended too early, which has its cause elsewhere. */
function brokeOff(reason: unknown): boolean {
  return !(reason instanceof ExplainedError) || (reason instanceof SamplesError && /^no-/.test(reason.fault));
}

/** Hands on chunks until there are more bytes than were asked for. */
async function* atMost(bytes: number, output: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const chunk of output) {
    left -= chunk.length;
    if (left < 0) throw new AgentError(null, `it answered more than ${bytes} bytes`);
    yield chunk;
  }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
