import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtExtension } from "../../practice/extension-build.ts";
import { packExtension } from "../../practice/extension-package.ts";
import { unitsEarned, uptimeByDay } from "../../practice/reward.ts";
import { type BrowserProcess, inPage, killBrowser, startBrowser, stopWorkers, targets } from "./browser-process.ts";
import {
  admin,
  data,
  endNetwork,
  eventually,
  heartbeatsOf,
  type NetworkProcess,
  practiceFolder,
  request,
  signIn,
  startNetwork,
} from "./network-process.ts";

interface NodeJson {
  readonly id: string;
  readonly status: string;
  readonly score: number;
  readonly duration: number;
}

interface Kept {
  readonly clientid?: string;
  readonly lastHeartbeatAt?: string;
  readonly version?: string;
  readonly loginInfo?: { readonly token: string; readonly refresh: string; readonly uid: string };
  readonly nodeMapEncrypted?: Record<string, { clientid: string }>;
}

let directory: string;
let folders: readonly [string, string];
let network: NetworkProcess;
let browsers: BrowserProcess[] = [];

const popup = () => `chrome-extension://${network.info.extension.id}/popup.html`;
const kept = (browser: BrowserProcess) =>
  inPage<Kept>(
    browser,
    popup(),
    `chrome.storage.local.get().then((all) => all.clientid && all.lastHeartbeatAt ? all : undefined)`,
  );
const nodes = async () =>
  data<NodeJson[]>(network.info, "POST", "/api/sentrynode/list", {
    body: { page: 1, size: 12, field: "active", direction: 0, active: "", banned: "" },
    token: await signIn(network.info),
  });
const heartbeatCount = async (clientid: string) => (await heartbeatsOf(network.info, clientid)).heartbeats.length;
const isAwake = async (browser: BrowserProcess) =>
  (await targets(browser)).some(
    ({ type, url }) => type === "service_worker" && url.includes(network.info.extension.id),
  );

// One story on one pair of browsers: each chapter goes on where the one before ended, because starts are slow.
describe("the practice extension in a real browser", () => {
  beforeAll(async () => {
    directory = await practiceFolder();
    folders = [await practiceFolder(), await practiceFolder()];
    network = await startNetwork(directory);
    const start = (folder: string) =>
      startBrowser(folder, network.info.extension, { origin: network.info.origin, enrolCode: network.info.enrolCode });
    browsers = await Promise.all(folders.map(start));
  });

  afterAll(async () => {
    await Promise.all(browsers.map(killBrowser));
    await endNetwork(network, "SIGKILL");
    await Promise.all([directory, ...folders].map((folder) => rm(folder, { recursive: true, force: true })));
  });

  const browserAt = (i: 0 | 1): BrowserProcess => {
    const found = browsers[i];
    if (found === undefined) throw new Error(`Browser ${i} did not start.`);
    return found;
  };

  it("registers one node in each browser, and the network calls them Good", async () => {
    const good = await eventually(
      "two Good nodes",
      async () => {
        const found = await nodes();
        return found.length === 2 && found.every(({ status }) => status === "Good") ? found : undefined;
      },
      60,
    );
    const first = await kept(browserAt(0));
    expect(good.map(({ id }) => id)).toContain(first.clientid);
    expect(first.version).toBe(network.info.extension.version);
    expect(new Date(first.lastHeartbeatAt ?? "").toISOString()).toBe(first.lastHeartbeatAt);
    expect(first.nodeMapEncrypted?.[first.loginInfo?.uid ?? ""]).toEqual({ clientid: first.clientid });
  });

  it("shows the node in its popup, which sends no heartbeat and wakes no worker", async () => {
    const { clientid = "" } = await kept(browserAt(0));
    await stopWorkers(browserAt(0), popup());
    const count = await heartbeatCount(clientid);
    const text = await inPage<string>(
      browserAt(0),
      popup(),
      `document.querySelector("#node-id")?.textContent.length === 36 ? document.body.innerText : undefined`,
    );
    for (const label of [
      "Today's Taps",
      "Today's Uptime",
      "Today's Reward",
      "Season 0 Reward",
      "Referred:",
      "Referral Code:",
      "IP Address:",
      "Version:",
      "Node ID:",
      "practice",
      clientid,
    ])
      expect(text).toContain(label);
    expect(await isAwake(browserAt(0))).toBe(false);
    expect(await heartbeatCount(clientid)).toBe(count);
  });

  it("sends its heartbeats 30 s apart, exchanges a tap, and is paid by the rule", async () => {
    const ids = await Promise.all([0 as const, 1 as const].map(async (i) => (await kept(browserAt(i))).clientid ?? ""));
    await eventually(
      "three heartbeats of each node",
      async () => ((await Promise.all(ids.map(heartbeatCount))).every((count) => count >= 3) ? true : undefined),
      90,
    );
    const token = await signIn(network.info);
    for (const id of ids) {
      const { heartbeats } = await heartbeatsOf(network.info, id);
      const gaps = heartbeats.slice(1).map(({ realAt }, i) => realAt - (heartbeats[i]?.realAt ?? 0));
      for (const gap of gaps) {
        expect(gap).toBeGreaterThan(28_000);
        expect(gap).toBeLessThan(33_000);
      }
    }
    await eventually("a tap", async () => {
      const taps = await Promise.all(
        ids.map((id) =>
          data<{ ttl: number }[]>(network.info, "GET", `/api/sentrynode/latency/list/${id}/9`, { token }),
        ),
      );
      return taps.every((list) => list.length > 0 && list.every(({ ttl }) => ttl > 0)) ? taps : undefined;
    });
    for (const id of ids) {
      const { heartbeats, toleranceMs } = await heartbeatsOf(network.info, id);
      const taps = await data<unknown[]>(network.info, "GET", `/api/sentrynode/latency/list/${id}/99`, { token });
      const uptime = [...uptimeByDay(heartbeats, toleranceMs).values()];
      const units = uptime.reduce((sum, ms) => sum + unitsEarned(ms, 0), unitsEarned(0, taps.length));
      const node = await data<NodeJson>(network.info, "GET", `/api/sentrynode/get/${id}`, { token });
      expect(BigInt(node.score)).toBe(units);
    }
  });

  it("is the same node after its browser was killed, heard at once, and signs in again where it must", async () => {
    const before = [await kept(browserAt(0)), await kept(browserAt(1))] as const;
    // Both, so that neither takes the refusals meant for the other.
    await Promise.all(browsers.map(killBrowser));
    const { origin, enrolCode } = network.info;
    const again = async (i: 0 | 1, refused: readonly string[]): Promise<Kept> => {
      for (const path of refused)
        await admin(network.info, "POST", "misbehaviours", { kind: "signed-out", path, count: 1 });
      const clientid = before[i].clientid ?? "";
      const count = await heartbeatCount(clientid);
      browsers[i] = await startBrowser(folders[i], network.info.extension, { origin, enrolCode });
      await eventually("a heartbeat after the restart", async () =>
        (await heartbeatCount(clientid)) > count ? true : undefined,
      );
      const after = await kept(browserAt(i));
      expect(after.clientid).toBe(clientid);
      return after;
    };
    const refreshed = await again(0, ["/practice/heartbeats"]);
    expect(refreshed.loginInfo?.token).not.toBe(before[0].loginInfo?.token);
    expect(refreshed.loginInfo?.refresh).toBe(before[0].loginInfo?.refresh);
    const enrolled = await again(1, ["/practice/heartbeats", "/practice/refresh"]);
    expect(enrolled.loginInfo?.refresh).not.toBe(before[1].loginInfo?.refresh);
    expect(await nodes()).toHaveLength(2);
  });
});

it("is signed with a key that only its owner may read, and its package holds no secret", async () => {
  const folder = await practiceFolder();
  const service = await startNetwork(folder);
  try {
    const { extension, account, enrolCode } = service.info;
    const packed = await readFile(extension.crx);
    expect(packed.subarray(0, 8)).toEqual(Buffer.from("Cr24\u0003\0\0\0", "latin1"));
    const manifest = JSON.parse(await readFile(join(extension.folder, "manifest.json"), "utf8")) as object;
    expect(manifest).toMatchObject({ permissions: ["storage", "alarms"], host_permissions: ["http://127.0.0.1/*"] });
    for (const name of ["service-worker.js", "settings.json", "manifest.json"]) {
      const text = await readFile(join(extension.folder, name), "utf8");
      for (const secret of [account.password, enrolCode]) expect(text).not.toContain(secret);
    }
    expect((await request(service.info, "GET", "/practice/health")).json.data).toEqual({ label: "practice" });

    const newer = await packExtension({
      built: builtExtension,
      outDir: join(folder, "newer"),
      keyFile: join(folder, "extension-key.pem"),
      version: "1.0.1",
    });
    expect(newer).toMatchObject({ id: extension.id, version: "1.0.1" });
    expect(await readFile(newer.crx)).not.toEqual(packed);
  } finally {
    await endNetwork(service, "SIGKILL");
    await rm(folder, { recursive: true });
  }
});
