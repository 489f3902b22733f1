import { execFileSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type NodeFile, nodePaths, readJson, writeSynced } from "./folder.ts";

/**
 * Puts another agent in this one's place: `program` is its file's text, `software` the revision that it is. It has to say
 * its version before anything is changed, and where it does not, this one stays. Runs that are under way end as they
 * began; a power cut leaves the old one or the new one. Returns both versions. Throws a sentence where `value` is no agent.
 */
export function installAgent(
  directory: string,
  value: unknown,
  from: string,
): { readonly from: string; readonly to: string } {
  const { program, software } = (value ?? {}) as { program?: unknown; software?: unknown };
  if (typeof program !== "string" || program === "") throw new Error("The agent's program is no text.");
  if (!Number.isSafeInteger(software)) throw new Error("The agent's software revision is no whole number.");
  const node = readJson<NodeFile>(nodePaths(directory).node);
  if (node === undefined) throw new Error(`${directory} holds no node.`);
  const file = join(directory, "agent.cjs");
  const next = join(directory, "agent.next.cjs");
  try {
    writeSynced(next, program, 0o755);
    const to = versionOf(next);
    renameSync(next, file);
    const revision = { ...node.revision, software };
    writeSynced(nodePaths(directory).node, `${JSON.stringify({ ...node, revision })}\n`, 0o644);
    return { from, to };
  } finally {
    rmSync(next, { force: true });
  }
}

function versionOf(file: string): string {
  let said = "";
  try {
    said = execFileSync(process.execPath, [file, "version"], { encoding: "utf8", timeout: 120_000, stdio: "pipe" });
    const { agent } = JSON.parse(said) as { agent?: unknown };
    if (typeof agent === "string") return agent;
  } catch (error) {
    throw new Error(
      `The new agent does not run, and the old one stays: ${error instanceof Error ? error.message : error}`,
    );
  }
  throw new Error(`The new agent did not say its version, and the old one stays: ${said.slice(0, 200)}`);
}
