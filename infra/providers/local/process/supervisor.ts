import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  watch,
} from "node:fs";
import { join } from "node:path";
import {
  type Action,
  type ActionDone,
  makeNodeFolders,
  type NodeFile,
  nodePaths,
  readJson,
  type UnitState,
  type UnitStatus,
  type UnitsFile,
  writeJson,
} from "../../../../cloud-init/agent/folder.ts";
import type { NodeEvent } from "../../../../cloud-init/agent/line.ts";
import { processesOf } from "../../../../cloud-init/agent/processes.ts";
import type { ProcessUnit } from "../../../../cloud-init/workloads/descriptor.ts";
import { asAccount, withoutCapabilities } from "../../../isolation.ts";
import { type Backoff, nextBackoff } from "./backoff.ts";
import { type Launch, rebootExitCode } from "./launch.ts";

/**
 * The supervisor of one group of processes: keeps its units running, has its agent write samples and events, does what
 * is asked by files in `actions/`, and ends everything when it is told to stop. Runs as a child of the process that
 * holds the group's lock; nothing of another group can be running in its folder.
 */

const upAfterMs = 1000;
const logBytes = 2 * 1024 * 1024;
const housekeepingMs = 30_000;
const agentDeadlineMs = 90_000;
const keptActions = 200;

interface Unit {
  readonly spec: ProcessUnit;
  state: UnitState;
  child: ChildProcess | null;
  since: Date;
  restarts: number;
  lastExit: UnitStatus["lastExit"];
  backoff: Backoff | null;
  timer: NodeJS.Timeout | undefined;
  /** Resolves when the unit's present process and all that came of it have ended. */
  gone: Promise<void>;
}

async function supervise(directory: string): Promise<number> {
  const paths = nodePaths(directory);
  makeNodeFolders(directory);
  const node = mustRead<NodeFile>(paths.node);
  const launch = mustRead<Launch>(paths.launch);
  const lock = lockDescriptor(paths.lock);
  const before = readJson<UnitsFile>(paths.units);
  const startedAt = new Date().toISOString();
  const units = node.units.map((spec): Unit => {
    const restarts = before?.units.find(({ name }) => name === spec.name)?.restarts ?? 0;
    return {
      spec,
      state: "stopped",
      child: null,
      since: new Date(),
      restarts,
      lastExit: null,
      backoff: null,
      timer: undefined,
      gone: Promise.resolve(),
    };
  });
  const agent = node.everySeconds === null ? null : agentOf(directory, launch.runtime);
  let phase: UnitsFile["phase"] = "starting";
  let end: ((code: number) => void) | undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });

  const save = (): void => {
    if (phase === "starting" && units.every(({ state }) => state === "up")) {
      phase = "up";
      void agent?.sample();
    }
    unlessDiskFull(() =>
      writeJson(paths.units, {
        schema: 1,
        supervisor: { pid: process.pid, startedAt },
        phase,
        units: units.map(({ spec, state, child, since, restarts, lastExit }) => ({
          name: spec.name,
          state,
          pid: child?.pid ?? null,
          since: since.toISOString(),
          restarts,
          lastExit,
        })),
      } satisfies UnitsFile),
    );
  };
  const become = (unit: Unit, state: UnitState): void => {
    unit.state = state;
    unit.since = new Date();
    save();
  };
  const tell = (event: NodeEvent): void => agent?.event(event);

  const start = (unit: Unit): void => {
    clearTimeout(unit.timer);
    if (phase === "stopping") return;
    const log = openSync(paths.log(unit.spec.name), constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
    const child = spawnUnit(unit.spec, directory, node, launch, log, lock);
    closeSync(log);
    unit.child = child;
    const begun = performance.now();
    unit.gone = new Promise((resolve) => {
      // A program that is not there has no process and no exit: it fails like one that ends at once.
      child.once("error", (error) => {
        process.stderr.write(`${unit.spec.name} could not be started: ${error.message}\n`);
        if (child.pid === undefined) resolve(exited(unit, begun, 127, null));
      });
      child.once("exit", (code, signal) => resolve(exited(unit, begun, code, signal)));
    });
    become(unit, "starting");
    if (child.pid !== undefined) tell({ name: "unit-started", unit: unit.spec.name, pid: child.pid });
    unit.timer = setTimeout(() => {
      unit.state = "up";
      save();
    }, upAfterMs);
  };

  const exited = async (
    unit: Unit,
    begun: number,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): Promise<void> => {
    clearTimeout(unit.timer);
    const pid = unit.child?.pid;
    unit.child = null;
    unit.lastExit = { code, signal, at: new Date().toISOString() };
    tell({ name: "unit-exited", unit: unit.spec.name, code, signal });
    // Helpers that outlive their main process would still write to the profile that the next one opens.
    if (pid !== undefined) await killAll(pid);
    if (phase === "stopping") {
      become(unit, "stopped");
      return;
    }
    unit.restarts++;
    unit.backoff = nextBackoff(unit.backoff, performance.now() - begun);
    become(unit, "waiting");
    unit.timer = setTimeout(() => start(unit), unit.backoff.delayMs);
  };

  const stop = async (unit: Unit): Promise<void> => {
    clearTimeout(unit.timer);
    const { child } = unit;
    child?.kill("SIGTERM");
    const late = setTimeout(() => child?.kill("SIGKILL"), unit.spec.stopSeconds * 1000);
    // Even where the process has ended, what came of it may still be on its way out.
    await unit.gone;
    clearTimeout(late);
  };

  /** A restart that was asked for waits for nothing. */
  const restart = async (unit: Unit): Promise<void> => {
    await stop(unit);
    unit.backoff = null;
    start(unit);
  };

  const stopAll = async (code: number): Promise<void> => {
    if (phase === "stopping") return;
    phase = "stopping";
    save();
    tell({ name: "stopping" });
    clearInterval(sampling);
    clearInterval(housekeeping);
    await Promise.all(units.map(stop));
    for (const unit of units) unit.state = "stopped";
    phase = "stopped";
    save();
    await agent?.flush();
    end?.(code);
  };

  const done = (action: Action, outcome: ActionDone["outcome"], detail?: string): void => {
    unlessDiskFull(() =>
      writeJson(paths.actionDone(action.id), {
        ...action,
        outcome,
        at: new Date().toISOString(),
        ...(detail === undefined ? {} : { detail }),
      } satisfies ActionDone),
    );
    rmSync(paths.action(action.id), { force: true });
  };

  const perform = async (action: Action): Promise<void> => {
    const { id, verb, layer } = action;
    const note = (outcome: string): void => tell({ name: "action", verb, action: id, layer: layer ?? null, outcome });
    switch (verb) {
      case "sample":
        if (agent === null) return done(action, "refused", "The group keeps no journal.");
        return done(action, (await agent.sample()) ? "done" : "failed");
      case "stop":
        done(action, "done");
        return stopAll(0);
      case "recover": {
        if (layer === "reboot") {
          // Done by whoever starts next: only then is it true.
          renameSync(paths.action(id), `${paths.action(id)}.under-way`);
          note("begun");
          return stopAll(rebootExitCode);
        }
        const runtime = node.probes.runtime.kind === "unit" ? node.probes.runtime.unit : undefined;
        const named =
          layer === "workload" || runtime === undefined ? units : units.filter(({ spec }) => spec.name === runtime);
        await Promise.all(named.map(restart));
        note("done");
        return done(action, "done");
      }
      default:
        return done(action, "refused", `There is no verb ${String(verb satisfies never)}.`);
    }
  };

  let performing = false;
  const takeActions = async (): Promise<void> => {
    if (performing) return;
    performing = true;
    try {
      for (const name of readdirSync(paths.actions).sort()) {
        const id = /^([A-Za-z0-9_-]{1,80})\.json$/.exec(name)?.[1];
        if (id === undefined) continue;
        const action = readAction(join(paths.actions, name), id);
        if (action === undefined || readJson(paths.actionDone(id)) !== undefined)
          rmSync(join(paths.actions, name), { force: true });
        else await perform(action);
      }
    } finally {
      performing = false;
    }
  };

  const keepHouse = (): void => {
    for (const name of readdirSync(paths.logs)) if (name.endsWith(".log")) rotate(join(paths.logs, name));
    pruneActions(paths.done);
  };

  keepHouse();
  tell({ name: "boot" });
  const reboots = leftBehind(paths.actions);
  for (const unit of units) start(unit);
  save();
  for (const action of reboots) {
    tell({ name: "action", verb: action.verb, action: action.id, layer: action.layer ?? null, outcome: "done" });
    done(action, "done");
  }

  process.on("SIGTERM", () => void stopAll(0));
  const housekeeping = setInterval(keepHouse, housekeepingMs);
  const sampling = setInterval(() => void agent?.sample(), (node.everySeconds ?? 3600) * 1000);
  const watcher = watch(paths.actions, () => void takeActions());
  // A change may be missed while an action is under way.
  const looking = setInterval(() => void takeActions(), 1000);
  void takeActions();

  const code = await ended;
  watcher.close();
  clearInterval(looking);
  return code;
}

/** Starts a unit in a session of its own, as its account, holding the group's lock. */
function spawnUnit(
  spec: ProcessUnit,
  directory: string,
  node: NodeFile,
  launch: Launch,
  log: number,
  lock: number,
): ChildProcess {
  const unprivileged = spec.account === "unprivileged";
  const values: Readonly<Record<string, string>> = {
    node: directory,
    browser: launch.browser ?? "",
    runtime: launch.runtime,
    origin: node.network?.origin ?? "",
  };
  const fill = (word: string): string => word.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  const words = spec.exec.map(fill);
  if (spec.exec[0] === "{browser}") {
    words.splice(1, 0, ...launch.browserSwitches);
    const profile = join(directory, "profile");
    // Whoever they speak of is dead: the group's lock is ours and the unit has no process.
    for (const name of ["SingletonLock", "SingletonCookie", "SingletonSocket", "DevToolsActivePort"])
      rmSync(join(profile, name), { force: true });
  }
  const argv = !unprivileged
    ? words
    : launch.account === null
      ? withoutCapabilities(words)
      : asAccount(launch.account, words);
  const [program = "", ...rest] = diesWithUs(argv, launch);
  const own = {
    HOME: join(directory, "home"),
    // A browser makes a socket there, whose path may have 107 bytes: fewer than the node's folder has in many a home.
    TMPDIR: spec.exec[0] === "{browser}" ? "/proc/self/cwd/tmp" : join(directory, "tmp"),
    ...(launch.account === null ? {} : { USER: launch.account.name, LOGNAME: launch.account.name }),
  };
  const { GRADIENTLAB_SUPERVISED: _, ...env } = process.env;
  return spawn(program, rest, {
    cwd: directory,
    env: {
      ...env,
      ...(unprivileged ? own : {}),
      ...Object.fromEntries(Object.entries(spec.env ?? {}).map(([name, value]) => [name, fill(value)])),
    },
    stdio: ["ignore", log, log, lock],
    detached: true,
  });
}

/** Without a process tree of its own a unit has to be told to die with its supervisor. */
function diesWithUs(argv: readonly string[], { ownProcesses }: Launch): readonly string[] {
  if (ownProcesses) return argv;
  return argv[0] === "setpriv"
    ? ["setpriv", "--pdeathsig=KILL", ...argv.slice(1)]
    : ["setpriv", "--pdeathsig=KILL", "--", ...argv];
}

/** Kills what is left of a unit and waits until nothing is. */
async function killAll(leader: number): Promise<void> {
  for (;;) {
    const left = processesOf(leader);
    if (left.length === 0) return;
    for (const pid of left) killIfAlive(pid);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

interface Agent {
  /** Has a sample taken now; false where it failed. Asked for again while one is taken, the answer is that one's. */
  sample(): Promise<boolean>;
  /** Has an event written, after those before it; it is tried again until it is written. */
  event(event: NodeEvent): void;
  /** Resolves when all events are written, or cannot be within a few seconds. */
  flush(): Promise<void>;
}

function agentOf(directory: string, runtime: string): Agent {
  const run = (words: readonly string[]): Promise<number> =>
    new Promise((resolve) => {
      const child = spawn(runtime, ["--max-semi-space-size=1", join(directory, "agent.cjs"), ...words], {
        cwd: directory,
        env: { ...process.env, GRADIENTLAB_SUPERVISED: "1" },
        stdio: ["ignore", "ignore", "inherit"],
        timeout: agentDeadlineMs,
        killSignal: "SIGKILL",
      });
      child.once("error", (error) => {
        process.stderr.write(`The agent could not be run: ${error.message}\n`);
        resolve(127);
      });
      child.once("exit", (code) => resolve(code ?? 1));
    });

  let sampling: Promise<boolean> | undefined;
  const events: NodeEvent[] = [];
  let writing: Promise<void> | undefined;
  let closing = false;
  const write = async (): Promise<void> => {
    for (let tries = 0; events[0] !== undefined; ) {
      const written = (await run(["event", "--json", JSON.stringify(events[0])])) === 0;
      if (written) events.shift();
      else if (closing && ++tries > 3) return;
      else await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
  const kick = (): Promise<void> => {
    writing ??= write().finally(() => {
      writing = undefined;
      if (events.length > 0 && !closing) void kick();
    });
    return writing;
  };

  return {
    sample() {
      sampling ??= run(["sample"])
        .then((code) => code === 0)
        .finally(() => {
          sampling = undefined;
        });
      return sampling;
    },
    event(event) {
      events.push({ ...event, happened_at: new Date().toISOString() });
      void kick();
    },
    async flush() {
      closing = true;
      await sampling;
      await kick();
    },
  };
}

/** The descriptor by which this process holds the group's lock, inherited from whoever took it. */
function lockDescriptor(lock: string): number {
  const { dev, ino } = statSync(lock);
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd <= 2) continue;
    try {
      const found = fstatSync(fd);
      if (found.dev === dev && found.ino === ino) return fd;
    } catch (error) {
      // The descriptor that listed the folder is closed by now.
      if ((error as NodeJS.ErrnoException).code !== "EBADF") throw error;
    }
  }
  throw new Error(`${lock} is not held: the supervisor is started by its group only.`);
}

/** The units write to the file directly, so it is copied and cut rather than renamed. */
function rotate(file: string): void {
  if (statSync(file).size < logBytes) return;
  unlessDiskFull(() => copyFileSync(file, `${file}.1`));
  truncateSync(file, 0);
}

/** A full disk must not end the units: what could not be written is written at the next change. */
function unlessDiskFull(write: () => void): void {
  try {
    write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    process.stderr.write(`The disk is full: ${(error as Error).message}\n`);
  }
}

function pruneActions(folder: string): void {
  const done = readdirSync(folder)
    .filter((name) => name.endsWith(".done.json"))
    .map((name) => ({ file: join(folder, name), at: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { file } of done.slice(keptActions)) rmSync(file, { force: true });
}

/**
 * Returns the reboots that the supervisor before began and only this one can call done. Removes what else it left: a
 * stop that nobody took was meant for it alone.
 */
function leftBehind(folder: string): Action[] {
  const reboots: Action[] = [];
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    const underWay = /^(.+)\.json\.under-way$/.exec(name)?.[1];
    const reboot = underWay === undefined ? undefined : readAction(file, underWay);
    if (reboot !== undefined) reboots.push(reboot);
    if (reboot !== undefined || /^stop-[^.]*\.json$/.test(name) || name.endsWith(".part")) rmSync(file);
  }
  return reboots;
}

function readAction(file: string, id: string): Action | undefined {
  try {
    const action = readJson<Action>(file);
    return action?.id === id ? action : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function mustRead<T>(file: string): T {
  const value = readJson<T>(file);
  if (value === undefined) throw new Error(`${file} is missing.`);
  return value;
}

supervise(process.argv[2] ?? ".").then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
