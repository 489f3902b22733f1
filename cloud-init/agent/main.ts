import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { requestAction } from "./action.ts";
import { LockBusy } from "./flock.ts";
import { type NodeFile, nodePaths, readJson, type UnitsFile } from "./folder.ts";
import { appendToJournal, type Cursor, journalExtent, readJournal } from "./journal.ts";
import { lineVersion, type NodeEvent } from "./line.ts";
import { lockIsHeld } from "./liveness.ts";
import { logTail } from "./logs.ts";
import { stampNow, takeSample } from "./sample.ts";

/**
 * The agent: a short-lived command that answers one verb about the node in whose folder it lies, in JSON Lines on
 * standard output, and appends to the node's journal. The supervisor of the node runs it for samples and events; every
 * other verb may be run by whoever may read the folder.
 */

const agentVersion = "0.1.0";

/** Exit codes, as in sysexits.h. */
const exit = { done: 0, usage: 64, unavailable: 69, tryLater: 75, refused: 77 } as const;
type ExitCode = (typeof exit)[keyof typeof exit];

/** Ends the command with a sentence on standard error. */
class Refusal extends Error {
  override readonly name = "Refusal";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

const usage = `Verbs: version | status | sample | samples --after <journal>:<n>|start --max-bytes <n> | logs --unit <unit> --lines <n> | recover runtime|workload|reboot --action <id>`;

const maxBytesLimit = 8 * 1024 * 1024;
const linesLimit = 5000;

type Words = readonly string[];

const verbs: Readonly<Record<string, (directory: string, words: Words) => Promise<void> | void>> = {
  version(_directory, words) {
    noMore(words);
    print({ agent: agentVersion, line: lineVersion, node: process.version });
  },

  status(directory, words) {
    noMore(words);
    const node = nodeIn(directory);
    const units = readJson<UnitsFile>(nodePaths(directory).units);
    print({
      key: node.key,
      machineId: node.machineId,
      workload: node.workload,
      revision: node.revision,
      alive: isInside() || lockIsHeld(nodePaths(directory).lock),
      phase: units?.phase ?? null,
      units: units?.units ?? [],
      journal: journalExtent(nodePaths(directory).journal) ?? null,
      now: new Date().toISOString(),
    });
  },

  async sample(directory, words) {
    noMore(words);
    const node = nodeIn(directory);
    if (node.everySeconds === null) throw new Refusal(exit.refused, `${node.key} keeps no journal.`);
    if (!isInside()) {
      await ask(directory, { id: `sample-${process.pid}-${Date.now()}`, verb: "sample" });
      return;
    }
    const { draft, events, remember } = await takeSample(directory, node);
    const folder = nodePaths(directory).journal;
    const written = appendToJournal(folder, draft);
    for (const event of events) appendToJournal(folder, { ...stampNow(node.everySeconds), kind: "event", event });
    // Last: a crash in between tells a change twice rather than never.
    remember();
    print(written);
  },

  samples(directory, words) {
    const { after, "max-bytes": maxBytes } = options(words, ["after", "max-bytes"]);
    const cursor = cursorOf(after);
    const limit = countOf("--max-bytes", maxBytes, maxBytesLimit);
    nodeIn(directory);
    const part = readJournal(nodePaths(directory).journal, cursor, limit);
    if (part === undefined) throw new Refusal(exit.tryLater, "The journal has not begun yet.");
    const { journal, first, last, lines, more } = part;
    print({ journal, first, last, now: new Date().toISOString() });
    if (lines.length > 0) process.stdout.write(`${lines.join("\n")}\n`);
    print({ end: true, count: lines.length, more });
  },

  logs(directory, words) {
    const { unit, lines } = options(words, ["unit", "lines"]);
    if (unit === undefined || !/^[a-z][a-z0-9-]*$/.test(unit))
      throw new Refusal(exit.usage, "--unit must name a unit.");
    const count = countOf("--lines", lines, linesLimit);
    const node = nodeIn(directory);
    const tail = logTail(directory, node, unit, count);
    if (tail === undefined) throw new Refusal(exit.unavailable, `${node.key} has no log of a unit ${unit}.`);
    for (const line of tail) print({ unit, line });
  },

  async recover(directory, words) {
    const [layer, ...rest] = words;
    const { action } = options(rest, ["action"]);
    if (layer !== "runtime" && layer !== "workload" && layer !== "reboot")
      throw new Refusal(exit.usage, "recover takes runtime, workload or reboot.");
    if (action === undefined || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(action))
      throw new Refusal(exit.usage, "--action must be an id of up to 64 letters, digits, - and _.");
    nodeIn(directory);
    await ask(directory, { id: action, verb: "recover", layer });
  },

  /** Of the supervisor only: appends an event line. */
  event(directory, words) {
    if (!isInside()) throw new Refusal(exit.refused, "Only the node's supervisor writes events.");
    const { json } = options(words, ["json"]);
    const node = nodeIn(directory);
    const event = JSON.parse(json ?? "null") as NodeEvent;
    if (typeof event?.name !== "string") throw new Refusal(exit.usage, "--json must hold an event.");
    print(appendToJournal(nodePaths(directory).journal, { ...stampNow(node.everySeconds), kind: "event", event }));
  },
};

async function ask(directory: string, action: Parameters<typeof requestAction>[1]): Promise<void> {
  const done = await requestAction(directory, action, {
    alive: () => isInside() || lockIsHeld(nodePaths(directory).lock),
    waitMs: 60_000,
  });
  switch (done.kind) {
    case "done":
      print(done.done);
      if (done.done.outcome === "refused") throw new Refusal(exit.refused, done.done.detail ?? "The node refused.");
      if (done.done.outcome === "failed") throw new Refusal(exit.tryLater, done.done.detail ?? "The node failed.");
      return;
    case "other":
      throw new Refusal(exit.refused, `The action ${action.id} was asked for before, as another one.`);
    case "dead":
      throw new Refusal(exit.unavailable, "The node does not run.");
    case "late":
      throw new Refusal(exit.tryLater, "The node has not answered in time; the action stays asked for.");
    default:
      done satisfies never;
  }
}

/** The supervisor says so to the agents that it starts. */
function isInside(): boolean {
  return process.env.GRADIENTLAB_SUPERVISED === "1";
}

function nodeIn(directory: string): NodeFile {
  const node = readJson<NodeFile>(nodePaths(directory).node);
  if (node === undefined) throw new Refusal(exit.unavailable, `${directory} holds no node.`);
  return node;
}

function noMore(words: Words): void {
  if (words.length > 0) throw new Refusal(exit.usage, `${words[0]} is one word too many. ${usage}`);
}

function options<Name extends string>(words: Words, names: readonly Name[]): { [K in Name]?: string } {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      strict: true,
    });
    return values as { [K in Name]?: string };
  } catch (error) {
    if (error instanceof TypeError) throw new Refusal(exit.usage, `${error.message}. ${usage}`);
    throw error;
  }
}

function cursorOf(after: string | undefined): Cursor {
  if (after === "start") return "start";
  const found = /^([0-9a-f]{8}-[0-9a-f-]{27}):(\d{1,15})$/.exec(after ?? "");
  if (found === null) throw new Refusal(exit.usage, "--after must be <journal>:<n> or start.");
  return { journal: found[1] ?? "", n: Number(found[2]) };
}

function countOf(name: string, value: string | undefined, most: number): number {
  const count = Number(value);
  if (!/^\d+$/.test(value ?? "") || count < 1 || count > most)
    throw new Refusal(exit.usage, `${name} must be a whole number from 1 to ${most}.`);
  return count;
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function main(): Promise<void> {
  const directory = dirname(realpathSync(process.argv[1] ?? "."));
  const [verb = "", ...words] = process.argv.slice(2);
  try {
    const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (run === undefined) throw new Refusal(exit.usage, `${JSON.stringify(verb)} is not a verb. ${usage}`);
    await run(directory, words);
  } catch (error) {
    const late = error instanceof LockBusy || (error as NodeJS.ErrnoException).code === "ENOSPC";
    process.exitCode = error instanceof Refusal ? error.exitCode : late ? exit.tryLater : exit.unavailable;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
}

// The bundle is CommonJS, which has no await at its top; main ends every error itself.
void main();
