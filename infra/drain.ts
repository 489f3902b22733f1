import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Agent, AgentError, agentExit } from "../collector/journal/agent.ts";
import type { JournalCursor } from "../collector/store/journals.ts";
import { ExplainedError } from "./problem.ts";

const maxBytes = 1024 * 1024;

/**
 * Writes all that a node's journal still holds to `<folder>/<journal>.jsonl`, as an answer of `samples` whose header also
 * names the node, and returns how many lines that were; null, and no file, where no journal was begun. The file is whole
 * and on disk when this returns, or not there under its name. Throws as the agent's verbs do.
 */
export async function drainAgent(
  agent: Agent,
  node: { readonly key: string; readonly machineId: string },
  folder: string,
  signal: AbortSignal,
): Promise<number | null> {
  let part = await firstPart(agent, signal);
  if (part === null) return null;
  const { journal, first, last, now } = part.header;
  const file = join(folder, `${journal}.jsonl`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const handle = await open(`${file}.part`, "w", 0o600);
  let lines = 0;
  try {
    await handle.write(`${JSON.stringify({ journal, first, last, now, ...node })}\n`);
    for (;;) {
      if (part.header.journal !== journal)
        throw new ExplainedError(
          "journal-replaced",
          `The journal of ${node.key} was replaced while it was saved.`,
          "Run it again.",
        );
      for (const { text } of part.items) await handle.write(`${text}\n`);
      lines += part.items.length;
      const cursor: JournalCursor | undefined =
        part.items.length === 0 ? undefined : { journal, n: part.items.at(-1)?.n ?? 0 };
      if (!part.more || cursor === undefined) break;
      part = await agent.samples(cursor, maxBytes, signal);
    }
    await handle.write(`${JSON.stringify({ end: true, count: lines, more: false })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.part`, file);
  const parent = await open(dirname(file), "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
  return lines;
}

async function firstPart(agent: Agent, signal: AbortSignal): Promise<Awaited<ReturnType<Agent["samples"]>> | null> {
  try {
    return await agent.samples(null, maxBytes, signal);
  } catch (error) {
    if (error instanceof AgentError && error.exit === agentExit.tryLater) return null;
    throw error;
  }
}
