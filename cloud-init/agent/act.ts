import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Action, type ActionDone, type NodeFile, nodePaths, readJson } from "./folder.ts";

/** What an action needs of the machine; given by the caller, because it ends units and restarts machines. */
export interface MachineControl {
  systemctl(...words: readonly string[]): void;
  serviceOf(unit: string): string;
  /** The id of the running boot. */
  readonly boot: string;
  now(): Date;
}

/** A reboot that was begun, as `done/<id>.begun.json`; the boot after it says that it was done. */
interface Begun extends Action {
  readonly boot: string;
}

const idPattern = /^([A-Za-z0-9][A-Za-z0-9_-]{0,79})\.json$/;
const partLifeMs = 10_000;
const keptActions = 200;

/**
 * Does what is asked for by files in `actions/`, which the agent's account writes, as root: fixed words only, each id
 * once, what became of it in `done/`. First it finishes the reboots that an earlier boot began. Leaves `actions/` empty
 * but for a file that is being written. Throws where the folders cannot be read.
 */
export function act(directory: string, node: NodeFile, machine: MachineControl): void {
  const paths = nodePaths(directory);
  finishReboots(directory, machine);
  for (const name of readdirSync(paths.actions).sort()) {
    const file = join(paths.actions, name);
    const id = idPattern.exec(name)?.[1];
    if (id === undefined) {
      // A wish that is just being written has another name for a moment.
      if (!name.endsWith(".part") || machine.now().getTime() - lstatSync(file).mtimeMs > partLifeMs) remove(file);
      continue;
    }
    const action = readWish(file, id);
    const known = readJson(paths.actionDone(id)) !== undefined || readJson(begunFile(directory, id)) !== undefined;
    if (action === undefined || known) {
      remove(file);
      continue;
    }
    perform(directory, node, action, machine);
    remove(file);
  }
  for (const old of oldest(paths.done)) remove(join(paths.done, old));
}

function perform(directory: string, node: NodeFile, action: Action, machine: MachineControl): void {
  const end = (outcome: ActionDone["outcome"], detail?: string): void => {
    writeDone(directory, { ...action, outcome, at: machine.now().toISOString(), ...(detail ? { detail } : {}) });
    if (action.verb === "recover") tell(machine, action, outcome);
  };
  const { verb, layer, id } = action;
  try {
    if (verb === "sample") {
      machine.systemctl("start", "gradientlab-agent.service");
      end("done");
    } else if (verb !== "recover" || layer === undefined) {
      end("refused", `There is no action ${verb}.`);
    } else if (layer === "reboot") {
      const begun: Begun = { ...action, boot: machine.boot };
      writeWhole(begunFile(directory, id), JSON.stringify(begun));
      tell(machine, action, "begun");
      machine.systemctl("reboot", "--no-block");
    } else {
      const { runtime } = node.probes;
      const named =
        layer === "runtime" && runtime.kind === "unit" ? [runtime.unit] : node.units.map(({ name }) => name);
      machine.systemctl("restart", ...named.map((unit) => machine.serviceOf(unit)));
      end("done");
    }
  } catch (error) {
    end("failed", error instanceof Error ? error.message.slice(0, 300) : String(error));
  }
}

function finishReboots(directory: string, machine: MachineControl): void {
  const { done } = nodePaths(directory);
  for (const name of readdirSync(done)) {
    if (!name.endsWith(".begun.json")) continue;
    const begun = readJson<Begun>(join(done, name));
    if (begun === undefined || begun.boot === machine.boot) continue;
    const { boot: _, ...action } = begun;
    writeDone(directory, { ...action, outcome: "done", at: machine.now().toISOString() });
    tell(machine, action, "done");
    remove(join(done, name));
  }
}

/** The event is the agent account's to write: root starts the service that does. */
function tell(machine: MachineControl, { layer, id }: Action, outcome: string): void {
  machine.systemctl("start", "--no-block", `gradientlab-event@action:${layer}:${id}:${outcome}.service`);
}

/** Only a plain small file of the expected words counts; whoever writes here is not root. */
function readWish(file: string, id: string): Action | undefined {
  const stat = lstatSync(file);
  if (!stat.isFile() || stat.size > 4096) return undefined;
  try {
    const { id: own, verb, layer } = JSON.parse(readFileSync(file, "utf8")) as Action;
    if (own !== id) return undefined;
    if (verb === "sample") return { id, verb };
    const known = layer === "runtime" || layer === "workload" || layer === "reboot";
    return verb === "recover" && known ? { id, verb, layer } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function writeDone(directory: string, done: ActionDone): void {
  writeWhole(nodePaths(directory).actionDone(done.id), JSON.stringify(done));
}

function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.part`, `${text}\n`, { mode: 0o644 });
  renameSync(`${file}.part`, file);
}

function begunFile(directory: string, id: string): string {
  return join(nodePaths(directory).done, `${id}.begun.json`);
}

function oldest(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".done.json"))
    .map((name) => ({ name, at: lstatSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at)
    .slice(keptActions)
    .map(({ name }) => name);
}

function remove(file: string): void {
  rmSync(file, { force: true, recursive: true });
}
