import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { JournalLine } from "../../cloud-init/agent/line.ts";
import { accounts } from "../../cloud-init/machine/layout.ts";
import { type Agent, AgentError, agentRunBy } from "../../collector/journal/agent.ts";
import { type Connection, connectThrough, sshVerbs } from "../../collector/journal/ssh.ts";
import { readSshKey, type SshKey } from "../../collector/journal/ssh-key.ts";
import { type AccessRole, accessKeyFile } from "../../infra/access-keys.ts";
import type { Reach } from "../../infra/inventory.ts";
import { type ProcessIdentity, stillRuns } from "../../infra/process-identity.ts";
import { machineFiles } from "../../infra/providers/local/machine/emulator.ts";
import { monitorCommand } from "../../infra/providers/local/machine/qmp.ts";
import { ServiceInfo } from "../../practice/service-info.ts";
import { until } from "./checkout.ts";
import { makeProject, type Project } from "./project.ts";

/** An emulated machine boots in minutes on an idle host, and in an hour on a very busy one. */
export const bootMs = 100 * 60_000;
/** What a booted one is asked may take this long there. */
export const stepMs = 30 * 60_000;

const askEveryMs = 10_000;

type SshReach = Extract<Reach, { readonly kind: "ssh" }>;

/** What a command in the machine ended with. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A virtual machine that `pulumi up` made, with one node of the practice network on it. */
export interface BootedMachine {
  readonly key: string;
  readonly project: Project;
  readonly service: ServiceInfo;
  keyOf(role: AccessRole): SshKey;
  reach(): SshReach;
  /** Brings the stack to its config, changed by `change`, and what runs to that. */
  up(change?: Readonly<Record<string, unknown>>): Promise<void>;
  /** The process that is the machine. */
  emulator(): ProcessIdentity;
  /** Runs a command as root, by the operator's key. Throws with its words unless it ends with 0. */
  root(command: string, input?: string): Promise<string>;
  /** Runs a command as root and gives what it prints to `hear`, until it ends or the connection does. */
  follow(command: string, hear: (chunk: string) => void): Promise<void>;
  /** Does `work` with the agent's verbs, by the collector's key, on a connection that is held. */
  asked<Result>(work: (agent: Agent, signal: AbortSignal) => Promise<Result>): Promise<Result>;
  /** Reads on in the journal and returns all lines that were ever read; every one is checked and has the next number. */
  lines(): Promise<readonly JournalLine[]>;
  /** Waits for a line behind line `after` that `wanted` is true of, and returns the first. */
  line(what: string, after: number, wanted: (line: JournalLine) => boolean): Promise<JournalLine>;
  /** Has the monitor do a command: `stop` and `cont` hold the machine and let it go on. */
  monitor(command: string): Promise<unknown>;
  /** Cuts the power: its emulator is killed. */
  cutPower(): Promise<void>;
  remove(): Promise<void>;
}

/** Makes one, with a sample every `everySeconds`, and returns when it has booted and was told its network. */
export async function bootMachine(everySeconds: number): Promise<BootedMachine> {
  const key = "vm/0";
  const project = await makeProject();
  const { home } = project.place;
  const folder = join(home, "machines", key);
  let group: Readonly<Record<string, unknown>> = {
    size: "machine",
    workload: "sentry",
    network: "practice",
    count: 1,
    options: { mode: "vm", everySeconds },
  };
  let known: SshReach;
  let held: Connection | undefined;
  const told: JournalLine[] = [];
  let journal: string | undefined;

  const up = async (change: Readonly<Record<string, unknown>> = {}): Promise<void> => {
    group = { ...group, ...change };
    project.configure({ vm: group });
    await project.up("--refresh");
    const reach = (await project.inventory()).nodes.find((node) => node.key === key)?.reach;
    if (reach?.kind !== "ssh") throw new Error(`${key} is not reached by SSH`);
    known = reach;
  };
  const keyOf = (role: AccessRole): SshKey => readSshKey(accessKeyFile(home, role));
  /** A machine that is busy, or that boots, is tried again: what it is tried with does not change. */
  const connected = async (): Promise<Connection> => {
    const to = { ...known, user: accounts.operator };
    await until(
      "the machine to let its operator in",
      bootMs,
      async () => {
        if (held !== undefined) return true;
        try {
          const made = await connectThrough(to, keyOf("operator"), () => {
            if (held === made) held = undefined;
          });
          held = made;
          return true;
        } catch (error) {
          if (error instanceof AgentError) return false;
          throw error;
        }
      },
      () => readFileSync(join(folder, machineFiles.console), "latin1").slice(-500),
    );
    if (held === undefined) throw new Error("the connection broke off at once");
    return held;
  };
  const begin = async (command: string, input: string, hear: (chunk: string) => void): Promise<Ended> => {
    const { client } = await connected();
    return await new Promise((resolve, reject) => {
      client.exec(`sudo -n /bin/sh -c ${quoted(command)}`, (error, channel) => {
        if (error !== undefined) return reject(error);
        let code: number | null = null;
        let out = "";
        channel.on("exit", (ended: number | null) => {
          code = ended;
        });
        channel.setEncoding("utf8").on("data", (chunk: string) => {
          out += chunk;
          hear(chunk);
        });
        const err = text(channel.stderr);
        // A channel does not always tell that its connection is gone.
        const gone = (): void => resolve({ code: null, out, err: "the connection broke off" });
        client.once("close", gone);
        once(channel, "close").then(async () => {
          client.off("close", gone);
          resolve({ code, out, err: await err });
        }, reject);
        channel.end(input);
      });
    });
  };
  let agent: Agent | undefined;
  const asked: BootedMachine["asked"] = async (work) => {
    agent ??= agentRunBy(sshVerbs(known, keyOf("collector")));
    try {
      return await work(agent, AbortSignal.timeout(stepMs));
    } catch (error) {
      // What follows is asked on a connection that is made anew, and not only when the next try would be due.
      agent?.close();
      agent = undefined;
      throw error;
    }
  };
  const readOn = async (): Promise<void> => {
    for (let more = true; more; ) {
      const last = told.at(-1);
      const after = journal === undefined || last === undefined ? null : { journal, n: last.n };
      const part = await asked((agent, signal) => agent.samples(after, 1024 * 1024, signal));
      if (journal !== undefined && part.header.journal !== journal) throw new Error("the journal is another one");
      journal = part.header.journal;
      for (const item of part.items) {
        if (item.kind === "damaged") throw new Error(`line ${item.n} is damaged: ${item.fault}`);
        told.push(item.line);
      }
      more = part.more;
    }
  };
  const lines = async (): Promise<readonly JournalLine[]> => {
    let trouble = "";
    await until(
      "the journal",
      bootMs,
      async () => {
        try {
          await readOn();
          return true;
        } catch (error) {
          // It boots, or is too busy to answer just now.
          if (!(error instanceof AgentError)) throw error;
          trouble = error.message;
          return false;
        }
      },
      () => trouble,
    );
    return told;
  };
  const emulator = (): ProcessIdentity =>
    JSON.parse(readFileSync(join(folder, "emulator.json"), "utf8")) as ProcessIdentity;

  try {
    await up();
  } catch (error) {
    await project.remove();
    throw error;
  }
  return {
    key,
    project,
    service: ServiceInfo.parse(project.json("practice", "state", "service.json")),
    keyOf,
    reach: () => known,
    up,
    emulator,
    async root(command, input = "") {
      const { code, out, err } = await begin(command, input, () => undefined);
      if (code !== 0) throw new Error(`${command} ended with ${code}: ${out}${err}`);
      return out.trim();
    },
    async follow(command, hear) {
      await begin(command, "", hear);
    },
    asked,
    lines,
    async line(what, after, wanted) {
      let found: JournalLine | undefined;
      let asks = 0;
      await until(
        what,
        stepMs,
        async () => {
          // Each answer is a program that starts there, and an emulated processor is soon busy with nothing else.
          if (asks++ > 0) await delay(askEveryMs);
          found = (await lines()).find((line) => line.n > after && wanted(line));
          return found !== undefined;
        },
        () => JSON.stringify(told.slice(-6)),
      );
      return found as JournalLine;
    },
    monitor: (command) => monitorCommand(join(folder, machineFiles.monitor), command),
    async cutPower() {
      held?.end();
      held = undefined;
      agent?.close();
      agent = undefined;
      const before = emulator();
      process.kill(before.pid, "SIGKILL");
      await until("the emulator to be gone", 30_000, () => !stillRuns(before));
    },
    async remove() {
      held?.end();
      agent?.close();
      await project.remove();
    },
  };
}

/**
 * For a page that stays open: takes memory, a megabyte at a time and each of its own, until the browser's limit ends it.
 * Messages to itself are what a page in the background is not kept from.
 */
export const leak = `(() => {
  const { port1, port2 } = new MessageChannel();
  window.kept = [];
  port1.onmessage = () => {
    const block = new Uint8Array(1 << 20);
    for (let at = 0; at < block.length; at += 65536) crypto.getRandomValues(block.subarray(at, at + 65536));
    window.kept.push(block);
    port2.postMessage(null);
  };
  port2.postMessage(null);
  return "leaking";
})()`;

/**
 * Waits for the end of a browser that leaks: by the kernel at its limit, or by the agent, where all it still does is wait
 * for memory. Returns the line of its end, and who ended it.
 */
export async function endOfLeak(
  machine: BootedMachine,
  after: number,
): Promise<{ readonly line: JournalLine; readonly by: "kernel" | "agent" }> {
  const line = await machine.line("the end of a leak", after, ({ event }) => {
    return event?.unit === "browser" && (event.name === "unit-out-of-memory" || event.name === "unit-exited");
  });
  return { line, by: line.event?.name === "unit-exited" ? "agent" : "kernel" };
}

/** Returns the text as one word for a shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
