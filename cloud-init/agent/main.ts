import { existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { serviceOf } from "../machine/layout.ts";
import { act } from "./act.ts";
import { placeAction, requestAction } from "./action.ts";
import { askedOver } from "./command.ts";
import { LockBusy } from "./flock.ts";
import { type NodeFile, nodePaths, readJson, type UnitsFile } from "./folder.ts";
import { hookEvent } from "./hook.ts";
import { installAgent } from "./install.ts";
import { appendToJournal, type Cursor, journalExtent, readJournal } from "./journal.ts";
import { lineVersion, type NodeEvent } from "./line.ts";
import { lockIsHeld } from "./liveness.ts";
import { logTail } from "./logs.ts";
import { setUpNetwork } from "./network-setup.ts";
import { stampNow, takeSample } from "./sample.ts";
import { statusPage } from "./status-page.ts";
import { systemctl } from "./systemd.ts";
import { countRestart, unitsOf } from "./units.ts";

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
    const systemd = node.supervision === "systemd";
    print({
      key: node.key,
      machineId: node.machineId,
      workload: node.workload,
      revision: node.revision,
      alive: isAlive(directory, node),
      phase: systemd ? "up" : (units?.phase ?? null),
      units: unitsOf(directory, node),
      journal: journalExtent(nodePaths(directory).journal) ?? null,
      now: new Date().toISOString(),
    });
  },

  async sample(directory, words) {
    noMore(words);
    const node = nodeIn(directory);
    if (node.everySeconds === null) throw new Refusal(exit.refused, `${node.key} keeps no journal.`);
    if (!isInside()) {
      await ask(directory, node, { id: `sample-${process.pid}-${Date.now()}`, verb: "sample" });
      return;
    }
    const { draft, events, stuck, remember } = await takeSample(directory, node, agentVersion);
    const folder = nodePaths(directory).journal;
    const written = appendToJournal(folder, draft);
    for (const event of events) appendToJournal(folder, { ...stampNow(node.everySeconds), kind: "event", event });
    // Last: a crash in between tells a change twice rather than never.
    remember();
    if (node.supervision === "systemd") {
      writeStatusPage(directory, statusPage(node, draft, events));
      // One wish for each life of the runtime: it is restarted once, and then given time.
      const since = draft.runtime?.since?.replace(/\D/g, "");
      if (stuck && since !== undefined)
        placeAction(directory, { id: `watchdog-${since}`, verb: "recover", layer: "runtime" });
    }
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
    await ask(directory, nodeIn(directory), { id: action, verb: "recover", layer });
  },

  /** Of the collector's key: what it asked for over SSH, where that is a verb. Anything else leaves an event. */
  async ssh(directory, words) {
    noMore(words);
    const asked = askedOver(process.env.SSH_ORIGINAL_COMMAND);
    if (asked.kind === "verb") return run(directory, asked.words);
    const node = nodeIn(directory);
    const event = { name: "verb-refused", asked: asked.asked, from: process.env.SSH_CONNECTION?.split(" ")[0] ?? null };
    appendToJournal(nodePaths(directory).journal, { ...stampNow(node.everySeconds), kind: "event", event });
    throw new Refusal(exit.refused, `This key runs the agent's verbs only. ${usage}`);
  },

  /** Of the machine's units only: appends the event that they report by name. */
  hook(directory, words) {
    if (!isInside()) throw new Refusal(exit.refused, "Only the machine's units report events.");
    const [reported = "", ...rest] = words;
    noMore(rest);
    const event = hookEvent(reported);
    if (event === undefined) throw new Refusal(exit.usage, `${JSON.stringify(reported)} is no event.`);
    const node = nodeIn(directory);
    if (typeof event.result === "string") countRestart(directory, String(event.unit));
    print(appendToJournal(nodePaths(directory).journal, { ...stampNow(node.everySeconds), kind: "event", event }));
  },

  /** Of root only: does what is asked for in `actions/`. */
  act(directory, words) {
    noMore(words);
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    act(directory, nodeIn(directory), { systemctl, serviceOf, boot, now: () => new Date() });
  },

  /** Of root only, by the operator's hand: tells the machine its network, as JSON on standard input. */
  network(directory, words) {
    noMore(words);
    const node = nodeIn(directory);
    const services = node.units.map(({ name }) => serviceOf(name));
    // What does not run yet finds its network when it is started.
    print(setUpNetwork(directory, JSON.parse(readFileSync(0, "utf8")), () => systemctl("try-restart", ...services)));
  },

  /** Of root only, by the operator's hand: puts the agent on standard input in this one's place, as JSON with its revision. */
  install(directory, words) {
    noMore(words);
    print(installAgent(directory, JSON.parse(readFileSync(0, "utf8")), agentVersion));
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

/** A machine that answers lives; a node of processes does while its supervisor holds the lock. */
function isAlive(directory: string, node: NodeFile): boolean {
  return node.supervision === "systemd" || isInside() || lockIsHeld(nodePaths(directory).lock);
}

async function ask(directory: string, node: NodeFile, action: Parameters<typeof requestAction>[1]): Promise<void> {
  const done = await requestAction(directory, action, {
    alive: () => isAlive(directory, node),
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
  if (node.supervision !== "systemd") return node;
  const network = readJson<Omit<NonNullable<NodeFile["network"]>, "settings">>(nodePaths(directory).network);
  return {
    ...node,
    machineId: machineId(),
    network: network === undefined ? node.network : { ...network, settings: {} },
  };
}

/** The provider's id of the machine, where cloud-init keeps it; without cloud-init the system's own. */
function machineId(): string {
  const [file = ""] = ["/var/lib/cloud/data/instance-id", "/etc/machine-id"].filter((path) => existsSync(path));
  return readFileSync(file, "utf8").trim();
}

/** A full disk is no reason to end: the page of the sample before stays. */
function writeStatusPage(directory: string, text: string): void {
  const { status } = nodePaths(directory);
  try {
    writeFileSync(`${status}.part`, text, { mode: 0o644 });
    renameSync(`${status}.part`, status);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
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

async function run(directory: string, [verb = "", ...words]: Words): Promise<void> {
  const known = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (known === undefined) throw new Refusal(exit.usage, `${JSON.stringify(verb)} is not a verb. ${usage}`);
  await known(directory, words);
}

async function main(): Promise<void> {
  const directory = dirname(realpathSync(process.argv[1] ?? "."));
  const [verb = "", ...words] = process.argv.slice(2);
  try {
    await run(directory, [verb, ...words]);
  } catch (error) {
    const late = error instanceof LockBusy || (error as NodeJS.ErrnoException).code === "ENOSPC";
    process.exitCode = error instanceof Refusal ? error.exitCode : late ? exit.tryLater : exit.unavailable;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
}

// The bundle is CommonJS, which has no await at its top; main ends every error itself.
void main();
