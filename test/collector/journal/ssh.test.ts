import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh from "ssh2";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Agent, agentRunBy } from "../../../collector/journal/agent.ts";
import { sshVerbs } from "../../../collector/journal/ssh.ts";
import type { Reach } from "../../../infra/inventory.ts";
import { until } from "../../harness/checkout.ts";
import { keyPair, noSshd, type Sshd, startSshd } from "../../harness/sshd.ts";
import { agentFolder, type NodeFolder, nodeFolder } from "../node-folder.ts";

type SshReach = Extract<Reach, { kind: "ssh" }>;

const megabyte = 1024 * 1024;
const collector = keyPair();
const { signal } = new AbortController();

describe("a node that is asked over SSH", () => {
  let folder: string;
  let sshd: Sshd;
  let node: NodeFolder;
  let reach: SshReach;
  const agents: Agent[] = [];

  /** An agent over a connection of its own, with a clock that stands at `at()`. */
  const agentAt = (to: SshReach, at?: () => number, key = collector.key): Agent => {
    const agent = agentRunBy(sshVerbs(to, key, at));
    agents.push(agent);
    return agent;
  };
  /** Lets the collector's key run `script`, and nothing else, whatever it asks for. */
  const force = async (script: string, more: readonly string[] = []): Promise<void> => {
    const file = join(folder, "forced");
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o700);
    await sshd.authorize([`restrict,command="${file}" ${collector.public}`, ...more]);
  };
  const realAgent = (): Promise<void> => force(`set -f\nexec '${node.directory}/bin/agent' $SSH_ORIGINAL_COMMAND`);
  const refusal = async (work: Promise<unknown>): Promise<string> =>
    await work.then(
      () => "nothing was refused",
      (error: Error) => error.message,
    );

  beforeAll(async () => {
    if (noSshd !== null) return;
    folder = await mkdtemp(join(tmpdir(), "ssh-agent-"));
    [sshd, node] = await Promise.all([startSshd(), nodeFolder(folder, "cloud/0")]);
    reach = { kind: "ssh", host: "127.0.0.1", port: sshd.port, user: sshd.user, hostKeys: [sshd.hostKey] };
    for (let n = 0; n < 50; n++) node.append({});
  });

  beforeEach(async ({ skip }) => {
    skip(noSshd !== null, noSshd ?? "");
    await realAgent();
  });

  afterAll(async () => {
    for (const agent of agents) agent.close();
    await sshd?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
    const built = await agentFolder();
    if (built !== undefined) await rm(built, { recursive: true });
  });

  it("answers the verbs of its agent, all on one connection", async () => {
    const before = sshd.accepted();
    const agent = agentAt(reach);
    const all = await agent.samples(null, megabyte, signal);
    expect(all.items.map(({ n }) => n)).toEqual(node.numbers());
    const { header } = all;
    const rest = await agent.samples({ journal: header.journal, n: 49 }, megabyte, signal);
    expect(rest.items.map(({ n }) => n)).toEqual([50, 51]);
    expect(await agent.status(signal)).toEqual({ alive: false, machineId: node.machineId });
    expect(sshd.accepted()).toBe(before + 1);
  });

  it("leaves nothing of a verb behind on a connection that is held", async () => {
    const warnings: string[] = [];
    const hear = ({ name }: Error): number => warnings.push(name);
    process.on("warning", hear);
    try {
      const agent = agentAt(reach);
      // Node.js warns of the eleventh listener.
      for (let verb = 0; verb < 12; verb++) await agent.status(signal);
    } finally {
      process.off("warning", hear);
    }
    expect(warnings).toEqual([]);
  });

  it("is connected to again by the next verb when the connection was cut", async () => {
    const agent = agentAt(reach);
    await agent.status(signal);
    agent.close();
    expect((await agent.status(signal)).machineId).toBe(node.machineId);
  });

  it("tells by its exit code what it would not do, as the same verb of a process does", async () => {
    await force("echo 'The journal has not begun yet.' >&2; exit 75");
    await expect(agentAt(reach).samples(null, megabyte, signal)).rejects.toMatchObject({
      exit: 75,
      message: "samples ended with 75: The journal has not begun yet.",
    });
  });

  it("is reached through a jump host whose host key is pinned too", async () => {
    const jumpServer = await startSshd(["PermitRootLogin prohibit-password"]);
    try {
      await jumpServer.authorize([`restrict,port-forwarding,permitopen="127.0.0.1:${sshd.port}" ${collector.public}`]);
      const jump = { host: "127.0.0.1", port: jumpServer.port, user: sshd.user, hostKey: jumpServer.hostKey };
      expect((await agentAt({ ...reach, jump }).status(signal)).machineId).toBe(node.machineId);
      const wrong = { ...jump, hostKey: keyPair().public };
      expect(await refusal(agentAt({ ...reach, jump: wrong }).status(signal))).toContain("is pinned");
    } finally {
      for (const agent of agents.splice(0)) agent.close();
      await jumpServer.stop();
    }
  });

  it("is refused with both fingerprints when it shows another host key, and gets nothing to run", async () => {
    const before = sshd.accepted();
    const other = keyPair();
    const message = await refusal(agentAt({ ...reach, hostKeys: [other.public] }).status(signal));
    expect(message).toContain(other.key.fingerprint);
    expect(message.match(/SHA256:\S{43}/g)).toHaveLength(2);
    expect(sshd.accepted()).toBe(before);
    expect(await refusal(agentAt({ ...reach, hostKeys: [] }).status(signal))).toContain("no host key");
  });

  it("says which key it does not know", async () => {
    const stranger = keyPair();
    expect(await refusal(agentAt(reach, undefined, stranger.key).status(signal))).toBe(
      `127.0.0.1:${sshd.port} does not let ${sshd.user} in with the key ${stranger.key.fingerprint}`,
    );
  });

  it("is tried again only when the next try is due, after twice the time of the last", async () => {
    const port = await withServer(
      () => undefined,
      async (taken) => taken,
    );
    let now = 0;
    const agent = agentAt({ ...reach, port }, () => now);
    expect(await refusal(agent.status(signal))).toContain("cannot be reached");
    // Something listens there by now, and is not asked before its time.
    const tries = async (): Promise<number> => {
      let count = 0;
      await withServer(
        (socket) => {
          count++;
          socket.destroy();
        },
        () => refusal(agent.status(signal)),
        port,
      );
      return count;
    };
    const seen: number[] = [];
    for (now of [4_999, 5_000, 14_999, 15_000]) seen.push(await tries());
    expect(seen).toEqual([0, 1, 0, 1]);
  });

  it("is told of when it does not speak SSH", async () => {
    const message = await withServer(
      (socket) =>
        socket
          .on("error", () => undefined)
          .resume()
          .end("HTTP/1.1 400 Bad Request\r\n\r\n".repeat(2000)),
      (port) => refusal(agentAt({ ...reach, port }).status(signal)),
    );
    expect(message).toMatch(/does not speak SSH|closed the connection/);
  });

  it.each([
    ["garbage", "head -c 300000 /dev/urandom", /JSON was due|longer than/],
    ["a line of 100 MB", `head -c 104857600 /dev/zero | tr '\\0' x`, /longer than 262144 bytes|more than/],
    ["an answer without end", `cat "$(dirname "$0")/header"; yes x`, /more than \d+ bytes|is not/],
    ["an answer that breaks off", `cat "$(dirname "$0")/header"`, /without its trailer/],
  ])("has %s refused, and what comes next is asked anew", async (_what, script, complaint) => {
    const now = new Date().toISOString();
    await writeFile(join(folder, "header"), `${JSON.stringify({ journal: node.journal(), first: 1, last: 9, now })}\n`);
    const agent = agentAt(reach);
    await force(script);
    const before = process.memoryUsage().rss;
    expect(await refusal(agent.samples(null, megabyte, signal))).toMatch(complaint);
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * megabyte);
    await realAgent();
    expect((await agent.samples(null, megabyte, signal)).items).toHaveLength(node.numbers().length);
  });

  it("does not hold up whoever stops following it", async () => {
    // It ends when nobody reads it any more.
    await force(`touch '${folder}/begun'; while echo x; do sleep 0.1; done`);
    const stopping = new AbortController();
    const agent = agentAt(reach);
    const asked = refusal(agent.status(stopping.signal));
    await until("the verb to begin", 20_000, () => existsSync(join(folder, "begun")));
    stopping.abort();
    expect(await asked).toContain("broke off");
    expect(await refusal(agent.status(stopping.signal))).toContain("given up");
  });

  it("can run the verbs and nothing else: no shell, no terminal, no forwarded port", async () => {
    const client = new ssh.Client();
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve).once("error", reject).connect({
        host: "127.0.0.1",
        port: sshd.port,
        username: sshd.user,
        privateKey: collector.key.privateKey,
      });
    });
    try {
      const exec = (command: string): Promise<string> =>
        new Promise((resolve, reject) => {
          client.exec(command, (error, channel) => {
            if (error) return reject(error);
            let said = "";
            channel.stderr.on("data", (chunk: Buffer) => {
              said += chunk.toString();
            });
            channel.resume().on("exit", (code: number) => resolve(`${code} ${said}`));
          });
        });
      expect(await exec(`touch ${join(folder, "planted")}`)).toMatch(/^64 .*is not a verb/);
      expect(await exec(`version; touch ${join(folder, "planted")}`)).toMatch(/^64 /);
      const forwarded = await new Promise<string>((resolve) => {
        client.forwardOut("127.0.0.1", 0, "127.0.0.1", sshd.port, (error) =>
          resolve(error?.message ?? "it was let through"),
        );
      });
      expect(forwarded).toMatch(/prohibited|open failed/i);
    } finally {
      client.destroy();
    }
  });
});

/** Runs `work` while a server that treats each connection as `answer` does listens, and returns what it returns. */
async function withServer<Result>(
  answer: (socket: Socket) => void,
  work: (port: number) => Promise<Result>,
  wanted = 0,
): Promise<Result> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(wanted, "127.0.0.1", resolve));
  const address = server.address();
  try {
    return await work(typeof address === "object" ? (address?.port ?? 0) : 0);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
