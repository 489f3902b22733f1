import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CloudRefusal } from "../../../infra/stand-in/cloud.ts";
import { commandPlugin } from "../../../infra/stand-in/command/commands.ts";
import { rulesFiles } from "../../../infra/stand-in/plugins.ts";
import { readRules } from "../../../infra/stand-in/rules.ts";
import { keyPair, noSshd, type Sshd, startSshd } from "../../harness/sshd.ts";

const plugin = commandPlugin(readRules(rulesFiles().find((file) => file.includes("/command/")) ?? ""));
const type = "command:remote:Command";

/** A server, the key that it lets in, and a folder for what a test writes. */
interface Host extends Sshd {
  readonly privateKey: string;
  readonly folder: string;
}

async function startHost(acceptEnv: string): Promise<Host> {
  const settings = ["PermitRootLogin prohibit-password", `AcceptEnv ${acceptEnv}`, "Subsystem sftp internal-sftp"];
  const server = await startSshd(settings);
  const client = keyPair();
  await server.authorize([client.public]);
  const host = { ...server, privateKey: client.key.privateKey, folder: mkdtempSync(join(tmpdir(), "sh-")) };
  started.push(host);
  return host;
}

const started: Host[] = [];

let server: Host;
let other: Host;

describe("the stand-in of the command plugin, over real SSH", () => {
  beforeEach(({ skip }) => skip(noSshd !== null, noSshd ?? ""));
  beforeAll(async () => {
    if (noSshd !== null) return;
    [server, other] = await Promise.all([startHost("TAKEN PULUMI_COMMAND_*"), startHost("NONE")]);
  });
  afterAll(async () => {
    for (const host of started) {
      await host.stop();
      rmSync(host.folder, { recursive: true });
    }
  });

  const connection = (more: Record<string, unknown> = {}) => ({
    host: "127.0.0.1",
    port: server.port,
    user: server.user,
    privateKey: server.privateKey,
    hostKey: server.hostKey,
    dialErrorLimit: 0,
    ...more,
  });
  const wanted = (inputs: Record<string, unknown>, of = type) => ({
    urn: `urn:pulumi:dev::gradientlab::${of}::say`,
    type: of,
    name: "say",
    inputs: { connection: connection(), ...inputs },
  });
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const error: unknown = await work.then(
      () => new Error("it was not refused"),
      (reason: unknown) => reason,
    );
    if (error instanceof CloudRefusal) return error.message;
    throw error;
  };
  it("runs a command with its input and what the server takes of its environment, and cuts one line end", async () => {
    const { id, outputs } = await plugin.create(
      wanted({ create: "cat; echo; echo $TAKEN; echo; echo no >&2", stdin: "in", environment: { TAKEN: "yes" } }),
    );
    expect(id).toMatch(/^say[0-9a-f]{8}$/);
    expect(outputs).toMatchObject({ stdout: "in\nyes\n", stderr: "no" });
    expect(await refusal(plugin.create(wanted({ create: "true", environment: { LEFT: "1" } })))).toBe(
      'could not set environment variable "LEFT": ssh: setenv failed',
    );
  });

  it("tells a command's exit code and all that it printed, and a session that was lost", async () => {
    expect(await refusal(plugin.create(wanted({ create: "echo before; exit 3" })))).toBe(
      'Process exited with status 3: running "echo before; exit 3":\nbefore\n',
    );
    // Its input comes once the server has said that the command runs.
    const lost = wanted({ create: "read go; kill -9 $PPID; sleep 5", stdin: "go\n" });
    expect(await refusal(plugin.create(lost))).toContain(
      "wait: remote command exited without exit status or exit signal: running ",
    );
  });

  it("runs update, else create again, on any change, and gives the earlier output to it", async () => {
    const made = await plugin.create(wanted({ create: "echo one" }));
    const again = await plugin.update(wanted({ create: "echo again" }), made.id, made.outputs);
    expect(again.outputs.stdout).toBe("again");
    const other = { create: "echo one", update: 'echo "was $PULUMI_COMMAND_STDOUT"' };
    expect((await plugin.update(wanted(other), made.id, made.outputs)).outputs.stdout).toBe("was one");
    const alone = { ...other, addPreviousOutputInEnv: false };
    expect((await plugin.update(wanted(alone), made.id, made.outputs)).outputs.stdout).toBe("was ");
  });

  it("runs delete, and dials nobody where there is none", async () => {
    const file = join(server.folder, "deleted");
    await plugin.delete(wanted({ create: "true", delete: `touch ${file}` }), "id", {});
    expect(existsSync(file)).toBe(true);
    await plugin.delete(wanted({ connection: connection({ port: 1 }), create: "true" }), "id", {});
  });

  it("knows the host by its key alone, in the words of the real one", async () => {
    const dial = (more: Record<string, unknown>): Promise<string> =>
      refusal(plugin.create(wanted({ create: "true", connection: connection(more) })));
    expect(await dial({ hostKey: other.hostKey })).toBe(
      "after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
    );
    execFileSync("ssh-keygen", ["-q", "-t", "rsa", "-N", "", "-f", join(server.folder, "rsa")]);
    const rsa = readFileSync(join(server.folder, "rsa.pub"), "utf8");
    expect(await dial({ hostKey: rsa })).toBe(
      "after 0 failed attempts: ssh: handshake failed: ssh: no common algorithm for host key; we offered: [ssh-rsa], peer offered: [ssh-ed25519]",
    );
    expect(await dial({ privateKey: other.privateKey })).toBe(
      "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain",
    );
    expect(await dial({ hostKey: "nonsense" })).toBe("failed to parse host key: ssh: no key found");
    expect(await dial({ privateKey: "nonsense" })).toBe("ssh: no key found");
    const { hostKey: _, ...anyone } = connection();
    expect((await plugin.create(wanted({ create: "echo in", connection: anyone }))).outputs.stdout).toBe("in");
  });

  it("dials once more than its limit, after waits that grow by half", async () => {
    const port = 1;
    const start = performance.now();
    const text = await refusal(
      plugin.create(wanted({ create: "true", connection: connection({ port, dialErrorLimit: 3 }) })),
    );
    expect(text).toBe(`after 3 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`);
    expect(performance.now() - start).toBeGreaterThanOrEqual(100 + 150 + 225 - 5);
  });

  it("goes through a proxy, whose own failures it tells apart", async () => {
    const proxy = { ...connection(), port: other.port, privateKey: other.privateKey, hostKey: other.hostKey };
    const through = await plugin.create(wanted({ create: "echo through", connection: connection({ proxy }) }));
    expect(through.outputs.stdout).toBe("through");
    const wrong = connection({ proxy: { ...proxy, hostKey: server.hostKey } });
    expect(await refusal(plugin.create(wanted({ create: "true", connection: wrong })))).toMatch(
      /^proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch$/,
    );
  });

  it("copies a file when it or its place changed, and leaves it there", async () => {
    const copy = "command:remote:CopyToRemote";
    const from = join(server.folder, "from");
    const to = join(server.folder, "to");
    writeFileSync(from, "one");
    const inputs = (hash: string) => ({ source: { path: from, hash }, remotePath: to });
    const { id } = await plugin.create(wanted(inputs("1"), copy));
    expect(id).toMatch(/^[0-9a-f]{8}$/);
    writeFileSync(from, "two");
    await plugin.update(wanted({ ...inputs("1"), triggers: ["x"] }, copy), id, inputs("1"));
    expect(readFileSync(to, "utf8")).toBe("one");
    await plugin.update(wanted(inputs("2"), copy), id, inputs("1"));
    expect(readFileSync(to, "utf8")).toBe("two");
    await plugin.delete(wanted(inputs("2"), copy), id, inputs("2"));
    expect(existsSync(to)).toBe(true);
  });

  it("changes everything in place and tells of each trigger by its number, which the SDK turns into a replacement", () => {
    const { paths } = plugin.difference(type, { create: "a", triggers: ["1"] }, { create: "b", triggers: ["2"] });
    expect(Object.fromEntries([...paths].map(([path, { replaces }]) => [path, replaces]))).toEqual({
      create: false,
      "triggers[0]": false,
    });
  });
});
