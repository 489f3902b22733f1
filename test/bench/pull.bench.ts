import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh, { type Client } from "ssh2";
import { type Agent, agentRunBy } from "../../collector/journal/agent.ts";
import { sshVerbs } from "../../collector/journal/ssh.ts";
import { turns } from "../../collector/journal/turns.ts";
import type { Reach } from "../../infra/inventory.ts";
import { agentFolder, nodeFolder } from "../collector/node-folder.ts";
import { keyPair, noSshd, type Sshd, startSshd } from "../harness/sshd.ts";
import { type Bench, figure, timed } from "./figure.ts";

const fullNodes = 1000;
/** As many nodes are asked at once as the collector asks. */
const atOnce = 32;
const linesOfAnHour = 12;

/**
 * The new samples of a fleet, pulled over real SSH from an OpenSSH server on this machine, whose forced command prints an
 * answer that the real agent gave: first on connections that have to be made, then on held ones. The floor is the same
 * library connecting, running the same command and reading its bytes.
 */
export const bench: Bench = async function* ({ scale, say }) {
  if (noSshd !== null) {
    say(`left out: ${noSshd}`);
    return;
  }
  const nodes = Math.max(10, Math.round(fullNodes * scale));
  const folder = await mkdtemp(join(tmpdir(), "bench-pull-"));
  const sshd = await startSshd();
  const key = keyPair();
  const agents: Agent[] = [];
  const clients: Client[] = [];
  try {
    const node = await nodeFolder(folder, "cloud/0");
    for (let n = 0; n < linesOfAnHour; n++) node.append({});
    const forced = join(folder, "forced");
    await writeFile(join(folder, "answer"), await answerOf(node.directory));
    await writeFile(forced, `#!/bin/sh\nexec cat '${join(folder, "answer")}'\n`);
    await chmod(forced, 0o700);
    await sshd.authorize([`restrict,command="${forced}" ${key.public}`]);

    const reach: Reach & { kind: "ssh" } = {
      kind: "ssh",
      host: "127.0.0.1",
      port: sshd.port,
      user: sshd.user,
      hostKeys: [sshd.hostKey],
    } as const;
    const { signal } = new AbortController();
    for (let n = 0; n < nodes; n++) agents.push(agentRunBy(sshVerbs(reach, key.key)));
    const lines = node.numbers().length;
    const pullAll = (): Promise<void> =>
      each(agents, async (agent) => {
        const { items } = await agent.samples(null, 1024 * 1024, signal);
        if (items.length !== lines) throw new Error(`${items.length} lines came, ${lines} were there`);
      });
    const bareAll = (): Promise<void> =>
      each(
        Array.from({ length: nodes }, (_, n) => n),
        async (n) => {
          clients[n] ??= await bareConnection(sshd, key.key.privateKey);
          await bareExec(clients[n]);
        },
      );

    const peak = peakMemory();
    say(`${nodes} nodes, cold`);
    const cold = (await timed(pullAll)) / 1000;
    say("held");
    const held = (await timed(pullAll)) / 1000;
    const memory = peak.stop();
    for (const agent of agents) agent.close();
    say("floor");
    const bareCold = (await timed(bareAll)) / 1000;
    const bareHeld = (await timed(bareAll)) / 1000;
    yield figure("pull", "cold", { value: cold, unit: "s", floor: bareCold, n: nodes, target: "value <= 30" });
    yield figure("pull", "cold against bare", {
      value: cold,
      unit: "s",
      floor: bareCold,
      n: nodes,
      target: "ratio <= 1.3",
    });
    yield figure("pull", "held", { value: held, unit: "s", floor: bareHeld, n: nodes, target: "value <= 5" });
    yield figure("pull", "memory added", { value: memory, unit: "MB", n: nodes, target: "value <= 200" });
  } finally {
    for (const agent of agents) agent.close();
    for (const client of clients) client.destroy();
    await sshd.stop();
    await rm(folder, { recursive: true });
    const built = await agentFolder();
    if (built !== undefined) await rm(built, { recursive: true });
  }
};

function each<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const inTurn = turns(atOnce);
  return Promise.all(items.map((item) => inTurn(() => work(item)))).then(() => undefined);
}

function answerOf(directory: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      join(directory, "bin", "agent"),
      ["samples", "--after", "start", "--max-bytes", "1048576"],
      (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
    );
  });
}

function bareConnection({ port, user }: Sshd, privateKey: string): Promise<Client> {
  const client = new ssh.Client();
  return new Promise((resolve, reject) => {
    client
      .once("ready", () => resolve(client))
      .once("error", reject)
      .connect({
        host: "127.0.0.1",
        port,
        username: user,
        privateKey,
        authHandler: ["publickey"],
        algorithms: { cipher: ["aes128-gcm@openssh.com"] },
      });
  });
}

function bareExec(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.exec("samples", (error, channel) => {
      if (error !== undefined) return reject(error);
      channel.resume().once("close", () => resolve());
    });
  });
}

/** Looks at this process's resident memory every 20 ms and remembers by how much it grew at the most. */
function peakMemory(): { stop(): number } {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return (most - before) / 1e6;
    },
  };
}
