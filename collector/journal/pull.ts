import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import type { Reach } from "../../infra/inventory.ts";
import type { FindWorkload } from "../inventory/workloads.ts";
import { rulesOf } from "../inventory/workloads.ts";
import { explanationOf, type Log, sentenceOf } from "../log.ts";
import type { RecoverLayer } from "../recovery/rungs.ts";
import { changesOfSilence, changesOfStatus, type FoldMemory, silence, silentFrom } from "../states/lines.ts";
import { applyConclusion } from "../store/absence.ts";
import type { Database } from "../store/database.ts";
import { type JournalCursor, journalCursor, storeJournalPart } from "../store/journals.ts";
import { lineMemory } from "../store/nodes.ts";
import { type Agent, AgentError, type AgentStatus, agentExit, type RecoverAnswer } from "./agent.ts";
import { turns } from "./turns.ts";

/** A node whose journal is followed. */
export interface FollowedNode {
  readonly id: number;
  readonly key: string;
  readonly machineId: string;
  readonly workload: string;
  readonly power: "on" | "off";
  readonly reach: Reach;
}

/** What following a node needs of the world. */
export interface PullDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly workloads: FindWorkload;
  /** Runs a pull when its turn has come: only so many agents are started at once. */
  readonly inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/** A node that is being followed, until `stop`. */
export interface Follower {
  readonly node: FollowedNode;
  /** Pulls now, or once more after the pull that is under way. Never throws: trouble is logged and seen in the states. */
  pull(): Promise<void>;
  /** Pulls unless the node is asked over SSH and can hardly have written anything new. */
  pullWhenDue(): Promise<void>;
  /** Looks whether lines are late, asks the agent for evidence, and draws the conclusion. Never throws. */
  watchSilence(): Promise<void>;
  /** Has the node do an action and returns what it says of it. */
  recover(layer: RecoverLayer, action: string, signal: AbortSignal): Promise<RecoverAnswer>;
  stop(): Promise<void>;
}

const maxBytes = 1024 * 1024;
// Many files change for one line; the pull waits until the node has written them all.
const settleMs = 60;
// A line is late after one and a half of its distance: then the agent is asked, before silence means anything.
const lateSamples = 1.5;
// A node's agent is a program that is started for each question: over SSH nothing tells when to ask, and it is asked as
// often as it takes samples, and once a minute where events matter more than that.
const askOverSshMs = 60_000;
// How often an agent whose node is silent is asked again.
const askAgainMs = 10_000;

// Many nodes may answer at once after a time away; some sessions of the database are left for the page and the schedule.
const storing = turns(4);

/** Follows a node through its agent: pulls on hints of its folder and when asked to, and notices its silence. */
export function followNode(node: FollowedNode, agent: Agent, dependencies: PullDependencies): Follower {
  const { database, log, now, workloads, inTurn } = dependencies;
  const stopping = new AbortController();
  const { signal } = stopping;
  const startedAt = now();
  let cursor: JournalCursor | null | undefined;
  let memory: FoldMemory | null = null;
  let skewMs = 0;
  let caughtUp = false;
  let pulledAt = Number.NEGATIVE_INFINITY;
  let trouble: string | null = null;
  let asked = 0;
  let told: { readonly after: string | null; readonly value: "down" | "unknown" } | null = null;
  let busy: Promise<void> | undefined;
  let again = false;
  let hint: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;

  const pullOnce = async (): Promise<void> => {
    if (cursor === undefined) {
      cursor = await journalCursor(database, node.id);
      memory = await lineMemory(database, node.id);
    }
    const rules = rulesOf(await workloads(node.workload));
    for (let more = true; more && !signal.aborted; ) {
      const answer = await agent.samples(cursor, maxBytes, signal);
      skewMs = Date.parse(answer.header.now) - now().getTime();
      if (answer.header.journal !== cursor?.journal) await refuseOtherMachine();
      const part = { nodeId: node.id, machineId: node.machineId, header: answer.header, items: answer.items };
      const stored = await storing(() => storeJournalPart(database, part, rules, now()));
      cursor = stored.cursor;
      memory = stored.memory;
      more = answer.more && answer.items.length > 0;
    }
    caughtUp = true;
    pulledAt = performance.now();
  };

  /** A journal never seen before may be that of the next machine, of which the inventory has not told yet. */
  const refuseOtherMachine = async (): Promise<void> => {
    const { machineId } = await agent.status(signal);
    if (machineId === null || machineId === node.machineId) return;
    throw new AgentError(null, `the machine there is ${machineId} and the inventory still says ${node.machineId}`);
  };

  const attempt = async (): Promise<void> => {
    try {
      await inTurn(pullOnce);
      if (trouble !== null) log("info", "node-answers-again", { node: node.key });
      trouble = null;
    } catch (error) {
      if (signal.aborted) return;
      // The node's first line is still to be written.
      if (error instanceof AgentError && error.exit === agentExit.tryLater) return;
      // What was stored is not known for sure after an error: it is asked of the database again.
      cursor = undefined;
      const sentence = sentenceOf(error);
      if (sentence !== trouble)
        log("warn", `The journal of ${node.key} was not pulled: ${sentence}`, {
          node: node.key,
          ...explanationOf(error),
        });
      trouble = sentence;
    }
  };

  const pull = (): Promise<void> => {
    if (busy !== undefined) {
      again = true;
      return busy;
    }
    busy = (async () => {
      do {
        again = false;
        await attempt();
      } while (again && !signal.aborted);
    })().finally(() => {
      busy = undefined;
    });
    return busy;
  };

  const listen = (): void => {
    if (watcher !== undefined || signal.aborted || node.reach.kind !== "process") return;
    try {
      watcher = watch(join(node.reach.directory, "journal"), (_event, name) => {
        if (name !== null && !name.endsWith(".jsonl")) return;
        hint ??= setTimeout(() => {
          hint = undefined;
          void pull();
        }, settleMs);
      });
      watcher.on("error", () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch (error) {
      // The folder comes with the node's first line; pulls go on without hints until then.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  };

  const conclude = async (): Promise<void> => {
    listen();
    if (node.power === "off" || busy !== undefined) return;
    const after = memory?.at ?? null;
    if (told !== null && told.after !== after) told = null;
    const nodeNow = now().getTime() + skewMs;
    const silent = memory === null ? null : silentFrom(memory);
    if (memory !== null && silent === null) return;
    const distanceMs = (memory?.everySeconds ?? 10) * 1000;
    const since = memory === null ? startedAt.getTime() : Date.parse(memory.at);
    // After a time away the backlog comes first: it may hold the lines that seem to be missing.
    const heardAll = caughtUp || now().getTime() - startedAt.getTime() > 3 * distanceMs;
    if (!heardAll || nodeNow < since + lateSamples * distanceMs) return;
    if (Date.now() - asked >= Math.max(askAgainMs, distanceMs) || asked === 0) {
      asked = Date.now();
      const status = await askStatus();
      if (status?.alive === false) {
        const changes = changesOfStatus(now());
        if (await applyConclusion(database, node.id, after, changes, now())) told = { after, value: "down" };
        return;
      }
      if (status?.alive === true && told?.value === "down") told = null;
    }
    if (silent === null || told !== null || nodeNow <= silent.getTime() || after === null) return;
    const reason = trouble === null ? silence.answers : silence.unasked;
    if (await applyConclusion(database, node.id, after, changesOfSilence(silent, after, reason), now())) {
      told = { after, value: "unknown" };
    }
  };

  const askStatus = async (): Promise<AgentStatus | null> => {
    try {
      return await inTurn(() => agent.status(signal));
    } catch (error) {
      if (!signal.aborted)
        log("warn", `${node.key} was asked for its status: ${sentenceOf(error)}`, { node: node.key });
      return null;
    }
  };

  let concluding: Promise<void> | undefined;
  listen();
  return {
    node,
    pull,
    async pullWhenDue() {
      const distanceMs = Math.min((memory?.everySeconds ?? 0) * 1000, askOverSshMs);
      if (node.reach.kind === "process" || performance.now() - pulledAt >= distanceMs) await pull();
    },
    watchSilence() {
      concluding ??= conclude()
        .catch((error: unknown) => log("error", `The silence of ${node.key} was not judged: ${sentenceOf(error)}`))
        .finally(() => {
          concluding = undefined;
        });
      return concluding;
    },
    recover: (layer, action, given) => agent.recover(layer, action, AbortSignal.any([signal, given])),
    async stop() {
      stopping.abort();
      clearTimeout(hint);
      watcher?.close();
      await Promise.all([busy, concluding]);
      agent.close();
    },
  };
}
