import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RecoveryAction } from "../../collector/api/types.ts";
import type { RecoverLayer } from "../../collector/recovery/rungs.ts";
import { type CollectorProcess, startCollector } from "../../infra/commands/collector-process.ts";
import { type BootedMachine, bootMachine, bootMs, stepMs } from "../harness/booted-machine.ts";
import { until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { imageLacks } from "../harness/image.ts";

const everySeconds = 20;
/** The ladder in fractions of its minutes. The machine itself restarts its workload all the while, and would go on for ever. */
const hasty = {
  schema: 1,
  // While it reboots it is a machine that does not answer: that is no reason to give it up.
  graceSeconds: { start: 0, software: 5, machine: 86_400, verdict: 86_400 },
  waitSeconds: { runtime: 60, workload: 60, reboot: 86_400, verdict: 86_400 },
  steadySeconds: 60,
};
const dropIn = "/etc/systemd/system/gradientlab-browser.service.d/broken.conf";

describe("a collector that repairs a node on a virtual machine", () => {
  let lacking: string | null = null;
  let machine: BootedMachine;
  let collector: CollectorProcess | undefined;
  let api: Api;

  const actions = async (): Promise<RecoveryAction[]> =>
    (await api.all<RecoveryAction>(`nodes/${machine.key}/actions`)).toReversed();
  const bootId = (): Promise<string> => machine.root("cat /proc/sys/kernel/random/boot_id");
  const toldOf = async (after: number): Promise<string[]> =>
    (await machine.lines()).flatMap(({ n, event }) =>
      n > after && event?.name === "action" && event.verb === "recover" ? [`${event.layer} ${event.outcome}`] : [],
    );

  beforeAll(async () => {
    lacking = await imageLacks();
    if (lacking !== null) return;
    machine = await bootMachine(everySeconds);
    const { home, env } = machine.project.place;
    writeFileSync(join(home, "recovery.json"), JSON.stringify(hasty));
    await machine.line("a heartbeat", 0, ({ app }) => app?.network_node_id !== undefined);
    collector = startCollector({ home, port: 0, env });
    api = apiAt(await collector.ready);
    await until("a node that is well", bootMs, async () =>
      (await api.live()).some(({ layers }) => layers.runtime.value === "up" && layers.app.value === "up"),
    );
  }, bootMs * 2);
  beforeEach(({ skip }) => skip(lacking !== null, lacking ?? ""));
  afterAll(async () => {
    await collector?.stop(10_000);
    await machine?.remove();
  }, stepMs);

  it(
    "restarts its browser, then all of its workload, then the machine, each once and with its reason, and stops once it is well",
    async () => {
      const boot = await bootId();
      const last = (await machine.lines()).at(-1)?.n ?? 0;
      await machine.root(
        `mkdir -p "$(dirname ${dropIn})"; cat > ${dropIn}; systemctl daemon-reload; systemctl restart gradientlab-browser || true`,
        "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 7'\n",
      );
      await until(
        "the reboot to be done",
        bootMs * 2,
        async () => (await actions()).some(({ rung, outcome }) => rung === "reboot" && outcome === "done"),
        async () => JSON.stringify([await actions(), await api.live()]),
      );
      const done = await actions();
      expect(done.map(({ rung, outcome, attempts }) => [rung, outcome, attempts > 0])).toEqual([
        ["runtime", "done", true],
        ["workload", "done", true],
        ["reboot", "done", true],
      ]);
      for (const { reason } of done) expect(reason).toMatch(/^(runtime|app) (down|unknown)/);
      expect(await bootId()).not.toBe(boot);

      await machine.root(`rm ${dropIn}; systemctl daemon-reload; systemctl restart gradientlab-browser`);
      await until(
        "the end of the episode",
        bootMs,
        async () => (await actions()).every(({ episodeOutcome }) => episodeOutcome === "recovered"),
        async () => JSON.stringify([await actions(), await api.live()]),
      );
      expect(await actions()).toHaveLength(3);
      await until("the node's own word of all of them", stepMs, async () => (await toldOf(last)).length >= 4);

      // Asked for once more under the same ids, nothing is done once more.
      const [after, again] = [
        await bootId(),
        await machine.root("systemctl show --property=MainPID --value gradientlab-browser"),
      ];
      for (const { rung, action } of done)
        expect(await machine.asked((agent, signal) => agent.recover(rung as RecoverLayer, action, signal))).toEqual({
          kind: "done",
        });
      expect(await bootId()).toBe(after);
      expect(await machine.root("systemctl show --property=MainPID --value gradientlab-browser")).toBe(again);
      expect(await toldOf(last)).toEqual(["runtime done", "workload done", "reboot begun", "reboot done"]);
    },
    bootMs * 4,
  );
});
