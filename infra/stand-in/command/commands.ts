import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { type Properties, unknownValue } from "../../plugin/resource.ts";
import { type Cloud, CloudRefusal, type Wanted } from "../cloud.ts";
import { changedLeaves, valueAt } from "../paths.ts";
import type { RuleOf, RulesFile } from "../rules.ts";
import { filled } from "../text.ts";
import { Connection, copy, type Ended, onHost, run, SshFailure } from "./ssh.ts";

const remoteCommand = "command:remote:Command";
const copyToRemote = "command:remote:CopyToRemote";
const localCommand = "command:local:Command";

const Environment = z.record(z.string(), z.string()).default({});
const Remote = z.object({
  connection: Connection,
  create: z.string().optional(),
  update: z.string().optional(),
  delete: z.string().optional(),
  stdin: z.string().optional(),
  environment: Environment,
  addPreviousOutputInEnv: z.boolean().default(true),
});
const Local = Remote.omit({ connection: true }).extend({
  interpreter: z.array(z.string()).default(["/bin/sh", "-c"]),
  dir: z.string().optional(),
});
/** A text or a path; the engine marks both by signatures that do not matter here. */
const Source = z.union([z.object({ text: z.string() }), z.object({ path: z.string() })]);
const Copied = z.object({ connection: Connection, source: Source, remotePath: z.string() });

/**
 * Returns the stand-in of the plugin that runs commands. It really runs them, over real SSH or here, in the order and with
 * the texts of the real one; only the plugin itself is ours.
 */
export function commandPlugin({ plugin, rules }: RulesFile): Cloud {
  const text = (name: string, named: Readonly<Record<string, string>>): string => {
    const rule = rules.find((each): each is RuleOf<"error"> => each.kind === "error" && each.case === name);
    if (rule === undefined) throw new Error(`The stand-in ${plugin} has no error for the case ${name}.`);
    return filled(rule.text, { named, values: {}, made: {} });
  };

  /** Runs the command of an operation and returns the outputs. `before` are those of the run before it. */
  const perform = async (
    { type, inputs }: Wanted,
    operation: "create" | "update" | "delete",
    before: Properties,
  ): Promise<Properties> => {
    const parsed = type === localCommand ? Local.parse(inputs) : Remote.parse(inputs);
    const command = parsed[operation] ?? (operation === "update" ? parsed.create : undefined);
    if (command === undefined) return { ...inputs, stdout: before.stdout ?? "", stderr: before.stderr ?? "" };
    const env = { ...parsed.environment };
    if (parsed.addPreviousOutputInEnv && before.stdout !== undefined) {
      env.PULUMI_COMMAND_STDOUT = String(before.stdout);
      env.PULUMI_COMMAND_STDERR = String(before.stderr ?? "");
    }
    const ended =
      "connection" in parsed ? await remotely(parsed, command, env) : await locally(Local.parse(inputs), command, env);
    const quoted = { command: JSON.stringify(command), output: ended.output };
    if (ended.signal !== null) throw new CloudRefusal(text("signal", { ...quoted, signal: ended.signal }));
    if (ended.code === null) throw new CloudRefusal(text("session-lost", quoted));
    if (ended.code !== 0)
      throw new CloudRefusal(
        text(type === localCommand ? "exit-local" : "exit-remote", { ...quoted, code: String(ended.code) }),
      );
    // The real one cuts one line end, not all.
    return { ...inputs, stdout: ended.stdout.replace(/\n$/, ""), stderr: ended.stderr.replace(/\n$/, "") };
  };

  const remotely = async (
    { connection, environment, stdin }: z.infer<typeof Remote>,
    command: string,
    env: Readonly<Record<string, string>>,
  ): Promise<Ended> => {
    try {
      return await onHost(connection, async (client) => {
        for (const name of Object.keys(environment)) {
          // The library does not tell what the server took, so a session of its own looks.
          const seen = await run(client, `printenv ${name}`, { env: { [name]: environment[name] ?? "" } });
          if (seen.stdout !== `${environment[name]}\n`) throw new SshFailure(text("environment", { name }));
        }
        return await run(client, command, { stdin, env });
      });
    } catch (error) {
      throw error instanceof SshFailure ? new CloudRefusal(error.message) : error;
    }
  };

  const copied = async (inputs: Properties): Promise<void> => {
    const { connection, source, remotePath } = Copied.parse(inputs);
    try {
      await onHost(connection, (client) => copy(client, source, remotePath));
    } catch (error) {
      throw error instanceof SshFailure ? new CloudRefusal(error.message) : error;
    }
  };

  const required = (type: string): readonly string[] =>
    rules.flatMap((rule) => (rule.kind === "requires" && rule.type === type ? rule.properties : []));
  const named = (name: string): string => `${name}${randomBytes(4).toString("hex")}`;

  return {
    plugin,
    knows: (type) => [remoteCommand, copyToRemote, localCommand].includes(type),
    configure: () => undefined,
    check({ type, inputs }) {
      const missing = required(type).filter((property) => valueAt(inputs, property) === undefined);
      return { inputs, mistakes: missing.map((property) => ({ property, reason: text("missing", { property }) })) };
    },
    // Everything is changed in place; that triggers replace is the SDK's own wish, which the engine sees to.
    difference: (_type, before, wanted) => {
      const kind = (leaf: string) =>
        valueAt(before, leaf) === undefined ? "add" : valueAt(wanted, leaf) === undefined ? "delete" : "update";
      const leaves = changedLeaves(before, wanted);
      return {
        paths: new Map(leaves.map((leaf) => [leaf, { replaces: false, kind: kind(leaf) } as const])),
        deleteBeforeReplace: false,
      };
    },
    foreseen({ type, inputs }, outputs) {
      if (type === copyToRemote) return inputs;
      const changed =
        Object.keys(outputs).length === 0 ||
        changedLeaves({ ...outputs, stdout: undefined, stderr: undefined }, inputs).length > 0;
      return changed
        ? { ...inputs, stdout: unknownValue, stderr: unknownValue }
        : { ...inputs, stdout: outputs.stdout, stderr: outputs.stderr };
    },
    async create(wanted) {
      if (wanted.type !== copyToRemote) return { id: named(wanted.name), outputs: await perform(wanted, "create", {}) };
      await copied(wanted.inputs);
      return { id: named(""), outputs: wanted.inputs };
    },
    read: async (wanted, id, outputs = {}) => ({ id, inputs: wanted.inputs, outputs }),
    async update(wanted, id, before = {}) {
      if (wanted.type !== copyToRemote) return { id, outputs: await perform(wanted, "update", before) };
      const again = ["source", "remotePath"].some(
        (name) => changedLeaves(before[name], wanted.inputs[name]).length > 0,
      );
      if (again) await copied(wanted.inputs);
      return { id, outputs: wanted.inputs };
    },
    async delete(wanted, _id, before = {}) {
      if (wanted.type !== copyToRemote) await perform(wanted, "delete", before);
    },
    invoke: async (token) => {
      throw new Error(`The stand-in ${plugin} has no look-up ${token}.`);
    },
  };
}

function locally(
  { interpreter, dir, stdin }: z.infer<typeof Local>,
  command: string,
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  const [program = "/bin/sh", ...words] = interpreter;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...words, command], { cwd: dir, env: { ...process.env, ...env } });
    const texts = { stdout: "", stderr: "", output: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        texts[name] += text;
        texts.output += text;
      });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ ...texts, code, signal }));
    child.stdin.on("error", () => undefined).end(stdin ?? "");
  });
}
