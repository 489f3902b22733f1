import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { chromium } from "playwright";
import { encodeLine, type JournalLine } from "../../cloud-init/agent/line.ts";
import type { NodeItem } from "../../collector/api/types.ts";
import { startEmbedded } from "../../collector/store/embedded.ts";
import { findBrowser } from "../../infra/browser.ts";
import type { Reach } from "../../infra/inventory.ts";
import { enrolledNode } from "../collector/enrolled-node.ts";
import { nodeRecord, writeInventory } from "../collector/inventory.ts";
import { agentFolder, type NodeFolder, nodeFolder } from "../collector/node-folder.ts";
import { nodeLife, randomFrom } from "../harness/node-life.ts";
import { keyPair, noSshd, startSshd } from "../harness/sshd.ts";
import { endNetwork, type NetworkProcess, startNetwork } from "../practice/network-process.ts";
import { type Bench, figure, median, timedProcess } from "./figure.ts";
import { limitMemory, type MemoryLimit } from "./memory-limit.ts";
import { memoryOf, type ProcessMemory, processTree } from "./process-memory.ts";

const fullNodes = 200;
const fullMinutes = 10;
const fullVisits = 8;
const everySeconds = 300;
const limitBytes = 1024 ** 3;
const lookMs = 1_000;
/** What the agent of a machine writes in a day, which the collector finds when it comes. */
const backlogLines = 288;
const addressesOfOne = 16;
/** What a visit of the dashboard that went well brings: four answers that the page received, and what it shows. */
const answersOfVisit = 5;
const megabyte = 1e6;
const collectorMain = fileURLToPath(new URL("../../collector/main.ts", import.meta.url));
const unitFile = fileURLToPath(new URL("../../deploy/systemd/gradientlab-collector.service", import.meta.url));
const webRoot = fileURLToPath(new URL("../../collector/web/dist", import.meta.url));

/**
 * The memory of a whole collector at work, as a small host runs it: the daemon with its settings as they are, its own
 * PostgreSQL, nodes that are asked over SSH and write a line every five minutes, and a real browser that reads a dashboard
 * with as many nodes now and then. All of it is held to 1 GB where the kernel lets us. Nodes, networks and SSH servers are
 * outside. Figures are proportional set sizes of whole process trees. The daemon and the browser run from copies of their
 * files, so that no other program of the machine shares their pages. Floors are the same programs that do nothing.
 */
export const bench: Bench = async function* ({ scale, say }) {
  if (noSshd !== null) {
    say(`left out: ${noSshd}`);
    return;
  }
  const nodes = Math.max(10, Math.round(fullNodes * scale));
  const visits = Math.max(1, Math.round(fullVisits * scale));
  const home = await mkdtemp(join(tmpdir(), "bench-footprint-"));
  const endings: (() => Promise<unknown>)[] = [() => rm(home, { recursive: true })];
  try {
    await chmod(home, 0o755);
    const programs = await ownPrograms(home);
    const floor = await floorOf(home, programs);
    say(`${nodes} nodes`);
    const fleet = await startFleet(join(home, "fleet"), nodes, endings);
    const limit = limitMemory(limitBytes);
    say(typeof limit === "string" ? `not limited: ${limit}` : `limited to 1 GB by ${limit.by}`);
    if (typeof limit !== "string") endings.push(() => limit.end());
    const daemon = await startDaemon(home, programs, fleet.key, limit);
    endings.push(() => daemon.end());
    const measured = await watch({ home, fleet, daemon, visits, minutes: fullMinutes * scale, say });
    if (typeof limit !== "string" && limit.killed() > 0) throw new Error("the kernel ended a process of the collector");

    const steady = median(measured.looks.map(({ collector, database }) => collector + database)) / megabyte;
    yield figure("footprint", "collector and database, steady", {
      value: steady,
      unit: "MB",
      floor: floor.idle / megabyte,
      n: measured.looks.length,
      target: "value <= 350",
    });
    for (const part of ["collector", "database"] as const) {
      yield figure("footprint", `${part} alone, steady`, {
        value: median(measured.looks.map((look) => look[part])) / megabyte,
        unit: "MB",
        n: measured.looks.length,
      });
    }
    yield figure("footprint", "collector and database, most", {
      value: Math.max(...measured.looks.map(({ collector, database }) => collector + database)) / megabyte,
      unit: "MB",
      n: measured.looks.length,
    });
    yield figure("footprint", "browser while it reads, most", {
      value: measured.browser / megabyte,
      unit: "MB",
      floor: floor.browser / megabyte,
      n: measured.visits,
      target: "value <= 400",
    });
    yield figure("footprint", "all together, most", {
      value: Math.max(...measured.looks.map((look) => look.collector + look.database + look.browser)) / megabyte,
      unit: "MB",
      n: measured.looks.length,
      target: "value <= 1000",
    });
  } finally {
    // What fails to end must neither hide why it had to nor keep the rest from ending.
    const built = await agentFolder();
    if (built !== undefined) endings.unshift(() => rm(built, { recursive: true }));
    for (const end of endings.toReversed()) await end().catch((error: Error) => say(error.message));
  }
};

interface Programs {
  readonly node: string;
  readonly browser: string;
}

/** Copies the programs that others on this machine may run too. */
async function ownPrograms(home: string): Promise<Programs> {
  const node = join(home, "node");
  await copyFile(process.execPath, node);
  const { path } = await findBrowser({ install: async () => 1 });
  const folder = join(home, "browser");
  await cp(dirname(path), folder, { recursive: true, dereference: true });
  return { node, browser: join(folder, basename(path)) };
}

/** Measures what the same programs take that do nothing: a server of HTTP, a database with a session, an empty page. */
async function floorOf(home: string, programs: Programs): Promise<{ readonly idle: number; readonly browser: number }> {
  const server = await startEmbedded(join(home, "floor"), () => undefined);
  const session = new pg.Client({ connectionString: server.url("postgres") });
  await session.connect();
  await session.query("select 1");
  const script = "require('node:http').createServer().listen(0, '127.0.0.1', () => process.send(1))";
  const idle = spawn(programs.node, ["-e", script], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(idle, "message");
  const database = sum(processTree(process.pid).filter(isDatabase));
  const bare = memoryOf(idle.pid ?? 0) ?? 0;
  idle.kill("SIGKILL");
  await session.end();
  await server.stop();
  const browser = await chromium.launch({
    executablePath: programs.browser,
    chromiumSandbox: process.getuid?.() !== 0,
  });
  await (await browser.newPage()).goto("about:blank");
  const empty = sum(processTree(process.pid).filter(({ program }) => program === programs.browser));
  await browser.close();
  return { idle: bare + database, browser: empty };
}

function isDatabase({ program }: ProcessMemory): boolean {
  return basename(program) === "postgres";
}

function sum(processes: readonly ProcessMemory[]): number {
  return processes.reduce((total, { bytes }) => total + bytes, 0);
}

interface Fleet {
  readonly key: string;
  readonly inventory: string;
  readonly networks: string;
  readonly nodes: number;
  /** Lets another account of the network be read, by a file of its own. */
  addAccount(): Promise<void>;
}

type Endings = (() => Promise<unknown>)[];

/**
 * Starts the nodes of a fleet below `folder`: a journal of a day each, which goes on by a line every five minutes, behind
 * an SSH server that lets the collector's key run the real agent's verbs; and the network that knows them all.
 */
async function startFleet(folder: string, count: number, endings: Endings): Promise<Fleet> {
  await mkdir(join(folder, "networks"), { recursive: true });
  const network = await startNetwork(join(folder, "network"));
  endings.push(() => endNetwork(network, "SIGKILL"));
  const lives: { readonly node: NodeFolder; readonly life: Life }[] = [];
  for (let slot = 0; slot < count; slot++) {
    const life = await nodeWithPast(folder, slot, network);
    endings.push(async () => life.release());
    lives.push(life);
  }
  let turn = 0;
  const writing = setInterval(
    () => {
      const next = lives[turn++ % lives.length];
      next?.node.append({ ...lifeLine(next.life), at: new Date().toISOString() });
    },
    (everySeconds * 1000) / count,
  );
  endings.push(async () => clearInterval(writing));

  const { key, public: publicKey } = keyPair();
  const keyFile = join(folder, "key");
  await writeFile(keyFile, key.privateKey, { mode: 0o600 });
  // The server's own address tells which node is asked.
  const forced = join(folder, "forced");
  await writeFile(
    forced,
    `#!/bin/sh\nset -f -- $SSH_CONNECTION\nexec '${folder}/at/'"$3"/bin/agent $SSH_ORIGINAL_COMMAND\n`,
  );
  await chmod(forced, 0o700);
  await mkdir(join(folder, "at"));
  const records = [];
  for (let from = 0; from < count; from += addressesOfOne) {
    const some = lives
      .slice(from, from + addressesOfOne)
      .map(({ node }, index) => ({ node, address: addressOf(from + index) }));
    const sshd = await startSshd(
      [],
      undefined,
      some.map(({ address }) => address),
    );
    endings.push(() => sshd.stop());
    await sshd.authorize([`restrict,command="${forced}" ${publicKey}`]);
    for (const { node, address } of some) {
      await symlink(node.directory, join(folder, "at", address));
      const reach: Reach = { kind: "ssh", host: address, port: sshd.port, user: sshd.user, hostKeys: [sshd.hostKey] };
      records.push(nodeRecord(node.key, node.machineId, node.directory, { network: "gradient", reach }));
    }
  }
  const inventory = join(folder, "inventory.json");
  await writeInventory(inventory, records);
  let accounts = 0;
  return {
    key: keyFile,
    inventory,
    networks: join(folder, "networks"),
    nodes: count,
    async addAccount() {
      const name = `reader-${accounts++}`;
      const { origin, account } = network.info;
      const contents = {
        schema: 1,
        network: "gradient",
        account: name,
        label: name,
        origin,
        api: `${origin}/api`,
        ...account,
      };
      await writeFile(join(folder, "networks", `${name}.json`), JSON.stringify(contents), { mode: 0o600 });
    },
  };
}

function addressOf(slot: number): string {
  return `127.0.${1 + Math.floor(slot / 200)}.${1 + (slot % 200)}`;
}

interface Life {
  readonly lines: ReturnType<typeof nodeLife>;
  readonly networkNodeId: string;
}

/** Returns the next line that a node writes, with the id by which the network knows it. */
function lifeLine({ lines, networkNodeId }: Life): JournalLine {
  const { value } = lines.next();
  if (value === undefined) throw new Error("a node's life has no end");
  const { line } = value;
  if (line.app?.network_node_id === undefined) return line;
  return { ...line, app: { ...line.app, network_node_id: networkNodeId } };
}

async function nodeWithPast(folder: string, slot: number, network: NetworkProcess) {
  const node = await nodeFolder(join(folder, "nodes"), `cloud/${slot}`, { everySeconds });
  const networkNodeId = await enrolledNode(network);
  const journal = randomUUID();
  const from = Date.now() - backlogLines * everySeconds * 1000;
  const life: Life = { lines: nodeLife({ journal, from, everySeconds, random: randomFrom(slot + 1) }), networkNodeId };
  // As the agent lays it out, in one piece: it would wait for the disk at each line.
  let past = "";
  for (let n = 0; n < backlogLines; n++) past += `${encodeLine(lifeLine(life))}\n`;
  await writeFile(join(node.directory, "journal", "journal.json"), JSON.stringify({ schema: 1, journal }));
  await writeFile(join(node.directory, "journal", `${"1".padStart(15, "0")}.jsonl`), past, {
    mode: 0o600,
  });
  return { node, life, release: node.live() };
}

interface Daemon {
  readonly pid: number;
  readonly url: string;
  output(): string;
  end(): Promise<void>;
}

/** Starts the collector as its unit does, inside the limit where there is one. */
async function startDaemon(
  home: string,
  programs: Programs,
  key: string,
  limit: MemoryLimit | string,
): Promise<Daemon> {
  const fleet = join(home, "fleet");
  // A reading begins by chance up to 15 minutes late; here the die is loaded, so that readings come while we look.
  const loaded = "data:text/javascript,const{random}=Math;Math.random=()=>random()/900";
  const unit = await readFile(unitFile, "utf8");
  const settings = [...unit.matchAll(/^Environment=([A-Z_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [
    name,
    value,
  ]);
  const wordsOf = (setting: string): string[] => {
    const [, line] = new RegExp(`^${setting}=\\S+/node (.*)$`, "m").exec(unit) ?? [];
    if (line === undefined) throw new Error(`the unit has no ${setting} that runs Node.js`);
    return line.replace("/opt/gradientlab/collector/main.ts", collectorMain).split(" ");
  };
  const compiled = {
    ...Object.fromEntries(settings),
    NODE_COMPILE_CACHE: join(home, "compiled"),
    PATH: process.env.PATH ?? "/usr/bin:/bin",
  };
  const before = wordsOf("ExecStartPre").map((word) => (word === '""' ? "" : word));
  await timedProcess(programs.node, before, { env: compiled });
  const words = [programs.node, "--import", loaded, ...wordsOf("ExecStart")];
  const [file = "", ...rest] = typeof limit === "string" ? words : [...limit.words, ...words];
  const child = spawn(file, rest, {
    env: {
      ...compiled,
      CREDENTIALS_KEY: "",
      HOST: "127.0.0.1",
      PORT: "0",
      DATA_DIR: join(home, "data"),
      INVENTORY: join(fleet, "inventory.json"),
      NETWORKS: join(fleet, "networks"),
      SPOOL: join(fleet, "spool"),
      SSH_KEY: key,
      WEB_ROOT: webRoot,
      READ_CRON: "*/5 * * * * *",
      GRADIENTLAB_BROWSER: programs.browser,
    },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = once(child, "exit");
  const [message] = await Promise.race([
    once(child, "message"),
    ended.then(([code]) => {
      throw new Error(`the collector ended with ${code}: ${output}`);
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    url: (message as { url: string }).url,
    output: () => output,
    async end() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** What was seen at one instant, in bytes. */
interface Look {
  readonly collector: number;
  readonly database: number;
  readonly browser: number;
}

interface Watching {
  readonly home: string;
  readonly fleet: Fleet;
  readonly daemon: Daemon;
  readonly visits: number;
  readonly minutes: number;
  readonly say: (text: string) => void;
}

/** Looks for some minutes once all that was written before is stored, while the dashboard is read and a page is open. */
async function watch({ home, fleet, daemon, visits, minutes, say }: Watching) {
  const get = async <Answer>(path: string): Promise<Answer> => {
    const response = await fetch(`${daemon.url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Answer;
  };
  const heard = async (): Promise<number> => {
    const { items } = await get<{ items: NodeItem[] }>("/api/v1/nodes?limit=500");
    // What a node wrote before comes in one part.
    return items.filter(({ lastSampleAt }) => lastSampleAt !== null).length;
  };
  // Asked seldom: the answer is as long as the fleet.
  const deadline = performance.now() + 1_800_000;
  for (let count = 0; count < fleet.nodes; count = await heard()) {
    say(`${count} of ${fleet.nodes} nodes heard`);
    if (performance.now() > deadline)
      throw new Error(`${count} of ${fleet.nodes} nodes were heard: ${daemon.output()}`);
    await delay(5_000);
  }
  const page = await fetch(`${daemon.url}/api/v1/stream`);
  void page.body?.pipeTo(new WritableStream()).catch(() => undefined);

  const looks: Look[] = [];
  let browser = 0;
  let read = 0;
  const readings = async (): Promise<number> => {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return Number(/^gradientlab_readings_total\{network="gradient",outcome="ok"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const begun = performance.now();
  let lastRead = begun;
  for (let asked = 0, open = false; performance.now() - begun < minutes * 60_000 || read < visits; ) {
    if (!open && asked < visits) {
      await fleet.addAccount();
      asked++;
      open = true;
    }
    const tree = processTree(daemon.pid);
    const ofBrowser = tree.filter(({ program }) => program.startsWith(join(home, "browser")));
    const ofDatabase = tree.filter(isDatabase);
    const look = { database: sum(ofDatabase), browser: sum(ofBrowser), collector: 0 };
    looks.push({ ...look, collector: sum(tree) - look.database - look.browser });
    browser = Math.max(browser, look.browser);
    const answers = await readings();
    if (open && look.browser === 0 && answers >= (read + 1) * answersOfVisit) {
      read++;
      open = false;
      lastRead = performance.now();
    }
    if (looks.length % 15 === 0) {
      await get("/api/v1/nodes?limit=500");
      say(`${fleet.nodes} nodes, ${read} of ${visits} readings, ${Math.round((performance.now() - begun) / 1000)} s`);
    }
    if (open && performance.now() - lastRead > 900_000)
      throw new Error(`${read} of ${visits} readings came: ${daemon.output()}`);
    await delay(lookMs);
  }
  return { looks, browser, visits: read };
}
