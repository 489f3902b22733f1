import { randomUUID } from "node:crypto";
import type ssh from "ssh2";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JournalLine } from "../../cloud-init/agent/line.ts";
import { accounts, ports } from "../../cloud-init/machine/layout.ts";
import type { RecoverAnswer } from "../../collector/journal/agent.ts";
import { connectThrough } from "../../collector/journal/ssh.ts";
import type { RecoverLayer } from "../../collector/recovery/rungs.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { ensureImage } from "../../infra/providers/local/machine/image.ts";
import { type BootedMachine, bootMachine, bootMs, stepMs } from "../harness/booted-machine.ts";
import { until } from "../harness/checkout.ts";
import { keyPair } from "../harness/sshd.ts";
import { data, type Heartbeat, heartbeatsOf, signIn } from "../practice/network-process.ts";

const everySeconds = 60;
/** The ids of this run's actions. */
const run = randomUUID().slice(0, 8);
const ids = (layer: string): string => `${layer}-${run}`;

describe("a machine of 1 GB that pulumi up made", () => {
  let lacking: string | null = null;
  let machine: BootedMachine;
  /** The network's own id of the node: the same from the first test to the last. */
  let id = "";

  const last = async (): Promise<number> => (await machine.lines()).at(-1)?.n ?? 0;
  const event = (name: string, after: number, more: Readonly<Record<string, unknown>> = {}): Promise<JournalLine> =>
    machine.line(`${name} ${JSON.stringify(more)}`, after, ({ event }) => {
      return event?.name === name && Object.entries(more).every(([field, value]) => event[field] === value);
    });
  const heartbeats = async (): Promise<readonly Heartbeat[]> => (await heartbeatsOf(machine.service, id)).heartbeats;
  /** Waits until the network hears the same node after the instant, and knows of no other. */
  const sameNodeSince = async (instant: number): Promise<void> => {
    await until(
      "a heartbeat of the same node",
      stepMs,
      async () => (await heartbeats()).some(({ realAt }) => realAt > instant),
      async () => JSON.stringify((await machine.lines()).slice(-4)),
    );
    const token = await signIn(machine.service);
    const body = { page: 1, size: 100 };
    const nodes = await data<{ id: string }[]>(machine.service, "POST", "/api/sentrynode/list", { body, token });
    expect(nodes.map((node) => node.id)).toEqual([id]);
  };
  /** Asks for an action under its id until the node says what became of it: a busy one takes longer than it is heard. */
  const recovered = async (layer: RecoverLayer, action: string): Promise<RecoverAnswer> => {
    let answer: RecoverAnswer = { kind: "silent", heard: false, detail: "" };
    await until(
      `what becomes of ${action}`,
      bootMs,
      async () => {
        answer = await machine.asked((agent, signal) => agent.recover(layer, action, signal));
        return answer.kind !== "silent" && answer.kind !== "later";
      },
      () => JSON.stringify(answer),
    );
    return answer;
  };
  const browserPid = (): Promise<string> =>
    machine.root("systemctl show --property=MainPID --value gradientlab-browser");

  beforeAll(async () => {
    try {
      await ensureImage();
    } catch (error) {
      if (!(error instanceof ExplainedError)) throw error;
      lacking = `${error.message} ${error.fix}`;
      return;
    }
    machine = await bootMachine(everySeconds);
    const known = await machine.line(
      "the network's id of the node",
      0,
      ({ app }) => app?.network_node_id !== undefined,
    );
    id = known.app?.network_node_id ?? "";
    await sameNodeSince(0);
  }, bootMs * 2);

  beforeEach(({ skip }) => skip(lacking !== null, lacking ?? ""));

  afterAll(async () => {
    await machine?.remove();
  }, bootMs);

  it(
    "lets the collector's key run the verbs and nothing else, and says in its journal what was tried",
    async () => {
      const before = await last();
      const { client, end } = await connectThrough(machine.reach(), machine.keyOf("collector"), () => undefined);
      const execute = (begin: (done: (error: Error | undefined, channel?: ssh.ClientChannel) => void) => void) =>
        new Promise<string>((resolve) =>
          begin((error, channel) => {
            if (channel === undefined) return resolve(error?.message ?? "nothing");
            let said = "";
            channel.on("data", (chunk: Buffer) => {
              said += chunk.toString();
            });
            channel.stderr.on("data", (chunk: Buffer) => {
              said += chunk.toString();
            });
            channel.once("exit", (code: number | null) => resolve(`${code} ${said}`));
            channel.once("close", () => resolve(`closed ${said}`));
          }),
        );
      try {
        expect(await execute((done) => client.exec("id; touch /tmp/planted", done))).toMatch(/^77 .*verbs only/);
        expect(await execute((done) => client.exec("version;id", done))).toMatch(/^77 /);
        expect(await execute((done) => client.shell(false, done))).toMatch(/^77 /);
        // A terminal is not given either.
        expect(await execute((done) => client.shell(done))).not.toMatch(/\$/);
        expect(await execute((done) => client.subsys("sftp", done))).not.toMatch(/^0 /);
        const forward = await new Promise<string>((resolve) =>
          client.forwardOut("127.0.0.1", 0, "127.0.0.1", ports.debugging, (error) =>
            resolve(error?.message ?? "let through"),
          ),
        );
        expect(forward).toMatch(/prohibited|open failed/i);
        const remote = await new Promise<string>((resolve) =>
          client.forwardIn("127.0.0.1", 0, (error) => resolve(error?.message ?? "let through")),
        );
        expect(remote).not.toBe("let through");
      } finally {
        end();
      }
      await event("verb-refused", before, { asked: "id; touch /tmp/planted" });
      await event("verb-refused", before, { asked: "a shell" });
      await event("forwards-refused", before);
      const refused = (await machine.lines()).filter(({ n, event }) => n > before && event?.name === "verb-refused");
      expect(refused.map(({ event }) => event?.asked)).toEqual(
        expect.arrayContaining(["id; touch /tmp/planted", "version;id", "a shell", expect.stringContaining("sftp")]),
      );
      expect(await machine.root("ls /tmp/planted 2>&1 || true")).toContain("No such file");
    },
    stepMs,
  );

  it(
    "lets the collector's key into no other account, and no other key into its own",
    async () => {
      const before = await last();
      for (const user of [accounts.operator, accounts.enrol, "root"])
        await expect(
          connectThrough({ ...machine.reach(), user }, machine.keyOf("collector"), () => undefined),
        ).rejects.toThrow(`does not let ${user} in with the key ${machine.keyOf("collector").fingerprint}`);
      const stranger = keyPair();
      await expect(connectThrough(machine.reach(), stranger.key, () => undefined)).rejects.toThrow(
        stranger.key.fingerprint,
      );
      const { event: told } = await event("logins-failed", before);
      expect(told?.count).toBeGreaterThan(0);
      const pinned = { ...machine.reach(), hostKeys: [stranger.public] };
      const refusal = await connectThrough(pinned, machine.keyOf("collector"), () => undefined).then(
        () => "let through",
        (error: Error) => error.message,
      );
      expect(refusal).toContain(stranger.key.fingerprint);
      expect(refusal.match(/SHA256:\S{43}/g)).toHaveLength(2);
    },
    stepMs,
  );

  it.each(["runtime", "workload"] as const)(
    "does recover %s once for each action id, by the collector's key alone",
    async (layer) => {
      const [before, pid] = [await last(), await browserPid()];
      const recover = () => recovered(layer, ids(layer));
      expect(await recover()).toEqual({ kind: "done" });
      await event("action", before, { layer, action: ids(layer), outcome: "done" });
      await event("unit-exited", before, { unit: "browser" });
      await event("unit-started", before, { unit: "browser" });
      const next = await browserPid();
      expect(next).not.toBe(pid);
      expect(await recover()).toEqual({ kind: "done" });
      expect(await browserPid()).toBe(next);
      // By now it has been started anew: what is heard from here on is heard from the new one.
      await sameNodeSince(Date.now());
      const lines = (await machine.lines()).filter(({ n }) => n > before);
      expect(lines.filter(({ event }) => event?.name === "action")).toHaveLength(1);
      // The same id for another layer is another action, and is refused.
      const other = await machine.asked((agent, signal) => agent.recover("reboot", ids(layer), signal));
      expect(other.kind).toBe("refused");
    },
    stepMs * 2,
  );
});
