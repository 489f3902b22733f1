import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { debuggingEndpoint, evaluateInPage } from "../../cloud-init/agent/devtools.ts";
import { MeasureFailed } from "../../cloud-init/agent/measure.ts";
import { startEmbedded } from "../../collector/store/embedded.ts";
import { ServiceInfo } from "../../practice/service-info.ts";
import {
  type Checkout,
  commandLine,
  copyOfCheckout,
  processesOf,
  type RunningStart,
  until,
} from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { filesIn, nodeFolder } from "../harness/node-processes.ts";

const group = { provider: "local", size: "process", count: 1, workload: "sentry", network: "practice" };
// An agent often, and one that hardly ever runs: the longest distance that a group may choose.
const groups = {
  watched: { ...group, options: { everySeconds: 5 } },
  alone: { ...group, options: { everySeconds: 3600 } },
};
const keys = ["watched/0", "alone/0"] as const;
type Key = (typeof keys)[number];

/** Heartbeats of each node whose spacing is compared. */
const heartbeats = 4;
/** By how much the spacing may be off on a busy machine: a heartbeat too many or too few is off by 15 s or more of 30. */
const toleranceMs = 12_000;

/** What the extension keeps in its storage, as far as it is looked at here. */
interface Held {
  readonly clientid: string;
  readonly loginInfo: { readonly token: string; readonly refresh: string; readonly planted: string };
}

describe("what must stay secret, and what must not be noticed", () => {
  let checkout: Checkout;
  let start: RunningStart;
  let api: Api;
  let service: ServiceInfo;
  /** Every secret of the run by its name. */
  const secrets = new Map<string, string>();
  const networkNodes = new Map<Key, string>();

  /** Evaluates in the extension's own page, or returns `undefined` where the browser has no such page yet. */
  const inExtension = async (key: Key, expression: string): Promise<unknown> => {
    try {
      const endpoint = debuggingEndpoint(join(nodeFolder(checkout.home, key), "profile"));
      return await evaluateInPage(endpoint, `chrome-extension://${service.extension.id}/popup.html`, expression);
    } catch (error) {
      if (error instanceof MeasureFailed) return undefined;
      throw error;
    }
  };
  /** Returns when the practice network heard each heartbeat of a node, in real milliseconds. */
  const heardFrom = async (key: Key): Promise<number[]> => {
    const answer = await fetch(`${service.origin}/practice/admin/nodes/${networkNodes.get(key)}/heartbeats`, {
      headers: { authorization: `Bearer ${service.adminToken}` },
    });
    const { data } = (await answer.json()) as { data: { heartbeats: { realAt: number }[] } };
    return data.heartbeats.map(({ realAt }) => realAt);
  };
  /** Returns the names of the secrets that stand in a text, as they are or in base64. */
  const foundIn = (bytes: Buffer): string[] =>
    [...secrets].flatMap(([name, secret]) =>
      bytes.includes(secret) ||
      bytes.includes(
        Buffer.from(secret)
          .toString("base64")
          .replace(/.{0,3}=*$/, ""),
      )
        ? [name]
        : [],
    );
  const databasePassword = (): string => join(checkout.home, "data", "postgres", "password");
  /** Returns which secrets stand in which file, but for the practice network's own state. */
  const filesWithSecrets = (): Record<string, string[]> =>
    Object.fromEntries(
      filesIn(checkout.home).flatMap((file) => {
        if (file.startsWith(join(checkout.home, "practice", "state"))) return [];
        const found = foundIn(bytesOf(file));
        return found.length === 0 ? [] : [[relative(checkout.home, file), found]];
      }),
    );

  beforeAll(async () => {
    checkout = await copyOfCheckout({ groups });
    start = checkout.start("--port", "0");
    api = apiAt(await start.url);
    const info = join(checkout.home, "practice", "state", "service.json");
    service = ServiceInfo.parse(JSON.parse(readFileSync(info, "utf8")));
    secrets.set("password", service.account.password);
    secrets.set("admin token", service.adminToken);
    secrets.set("enrol code", service.enrolCode);
    secrets.set("database password", readFileSync(databasePassword(), "utf8").trim());
    secrets.set("passphrase", readFileSync(join(checkout.home, "passphrase"), "utf8").trim());
  }, 180_000);

  afterAll(async () => {
    await start?.interrupt();
    await checkout?.remove();
  });

  it("takes a login into the extension's storage, and goes on earning with it", async () => {
    for (const key of keys) {
      const planted = `planted-${key.replace("/", "-")}-${crypto.randomUUID()}`;
      let held: Held | undefined;
      await until(`the login of ${key}`, 60_000, async () => {
        held = (await inExtension(
          key,
          `chrome.storage.local.get(["loginInfo", "clientid"]).then(async ({ loginInfo, clientid }) => {
            if (clientid === undefined) return undefined;
            await chrome.storage.local.set({ loginInfo: { ...loginInfo, planted: ${JSON.stringify(planted)} } });
            return { clientid, ...(await chrome.storage.local.get("loginInfo")) };
          })`,
        )) as Held | undefined;
        return held !== undefined;
      });
      if (held === undefined) throw new Error("it was there a moment ago");
      expect(held.loginInfo.planted).toBe(planted);
      networkNodes.set(key, held.clientid);
      secrets.set(`planted in ${key}`, planted);
      // The part of a token that is signed with; all before it says only who and when.
      secrets.set(`token of ${key}`, held.loginInfo.token.split(".").at(-1) as string);
      secrets.set(`refresh token of ${key}`, held.loginInfo.refresh);
    }
    for (const [name, secret] of secrets) expect(secret.length, name).toBeGreaterThan(15);
  }, 120_000);

  it("hears a node with an agent as often as one without", async () => {
    const spacing = async (key: Key): Promise<number[]> => {
      const at = await heardFrom(key);
      return at.slice(1).map((next, index) => next - (at[index] as number));
    };
    for (const key of keys)
      await until(
        `${heartbeats} heartbeats of ${key}`,
        (heartbeats + 1) * 30_000,
        async () => (await heardFrom(key)).length >= heartbeats,
        async () => (await heardFrom(key)).join(" "),
      );
    for (const key of keys)
      for (const gap of await spacing(key))
        expect(Math.abs(gap - 30_000), `${key}: ${gap} ms`).toBeLessThan(toleranceMs);
    const samplesOf = async (key: Key): Promise<number> =>
      (await api.samples(key)).filter(({ kind }) => kind === "sample").length;
    expect(await samplesOf("watched/0")).toBeGreaterThan(10);
    // The one that every node takes when it is up.
    expect(await samplesOf("alone/0")).toBe(1);
  }, 200_000);

  it("lets no secret into an answer of the API, the output or a command line", async () => {
    const paths = ["nodes", "rewards", "referrals", "runs", "gaps"];
    for (const key of keys)
      for (const part of ["samples", "states", "rewards", "gaps", "incarnations"]) paths.push(`nodes/${key}/${part}`);
    const items = await Promise.all(
      paths.map(async (path) => [path, await api.all<{ reading?: string }>(path)] as const),
    );
    for (const [path, list] of items) expect(foundIn(Buffer.from(JSON.stringify(list))), path).toEqual([]);
    const readings = new Set(items.flatMap(([, list]) => list.flatMap(({ reading }) => reading ?? [])));
    expect(readings.size).toBeGreaterThan(3);
    const url = await start.url;
    for (const id of readings) {
      const answer = await fetch(`${url}/api/v1/readings/${id}`);
      expect(answer.status).toBe(200);
      expect(foundIn(Buffer.from(await answer.text())), `reading ${id}`).toEqual([]);
    }
    expect(foundIn(Buffer.from(start.output()))).toEqual([]);
    expect(foundIn(Buffer.from(processesOf(checkout.folder).map(commandLineOf).join("\n")))).toEqual([]);
  }, 60_000);

  it("keeps each secret in the one place that it is for, while the fleet runs", () => {
    const found = filesWithSecrets();
    const own = Object.entries(found).filter(([file]) => !/^nodes\/[^/]+\/\d+\/profile\//.test(file));
    const ofNodes = keys.flatMap((key) => [
      [`nodes/${key}/node.json`, ["enrol code"]],
      [`nodes/${key}/policies/managed/gradientlab.json`, ["enrol code"]],
    ]);
    expect(Object.fromEntries(own)).toEqual({
      "data/postgres/password": ["database password"],
      "networks/practice.json": ["password"],
      passphrase: ["passphrase"],
      ...Object.fromEntries(ofNodes),
    });
    // The search finds what is there: the browser's own storage holds what was planted.
    for (const key of keys) {
      const inProfile = Object.entries(found).filter(([file]) => file.startsWith(`nodes/${key}/profile/`));
      expect(inProfile.flatMap(([, names]) => names)).toContain(`planted in ${key}`);
    }
  }, 60_000);

  it("leaves none behind when the fleet is gone, nor in any row of the database", async () => {
    await checkout.sh("npm run --silent down");
    expect(await start.exited).toBe(0);
    expect(filesWithSecrets()).toEqual({
      "data/postgres/password": ["database password"],
      passphrase: ["passphrase"],
    });
    const server = await startEmbedded(join(checkout.home, "data", "postgres"), () => undefined);
    const client = new pg.Client({ connectionString: server.url("postgres") });
    try {
      await client.connect();
      const { rows: tables } = await client.query<{ name: string }>(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')",
      );
      let seen = 0;
      for (const { name } of tables) {
        const { rows } = await client.query<{ text: string }>(`SELECT t::text AS text FROM ${name} AS t`);
        seen += rows.length;
        for (const { text } of rows) expect(foundIn(Buffer.from(text)), `${name}: ${text.slice(0, 200)}`).toEqual([]);
      }
      expect(seen).toBeGreaterThan(50);
    } finally {
      await client.end();
      await server.stop();
    }
  }, 120_000);
});

function commandLineOf(process: string): string {
  return commandLine(Number.parseInt(process, 10));
}

/** Returns what a file holds; nothing where the browser has removed it meanwhile. */
function bytesOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
