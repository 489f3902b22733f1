import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { openMetrics } from "../../collector/api/metrics.ts";
import { acceptInventory } from "../../collector/store/inventory.ts";
import { type StoredFigures, storedFigures } from "../../collector/store/metrics.ts";
import { eventually } from "../practice/network-process.ts";
import { type CollectorProcess, startCollectorProcess } from "./collector-process.ts";
import { serverForFile } from "./database.ts";
import { inventoryFile, nodeRecord, writeInventory } from "./inventory.ts";
import { agentFolder, nodeFolder } from "./node-folder.ts";

const server = serverForFile();
let home = "";
let collector: CollectorProcess | undefined;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "monitoring-"));
});
afterEach(async () => {
  await collector?.end("SIGKILL");
  collector = undefined;
  await rm(home, { recursive: true, force: true });
});

afterAll(async () => {
  const folder = await agentFolder();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** Returns the samples of an exposition by name and labels, having read every line of it. */
function samplesIn(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.split("\n")) {
    const kind = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (?:counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (kind !== null) {
      const [, name = ""] = kind;
      expect(typed.has(name), `${name} has one TYPE`).toBe(false);
      typed.add(name);
      continue;
    }
    if (line === "" || /^# HELP [a-zA-Z_:][a-zA-Z0-9_:]* .+$/.test(line)) continue;
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)+\})?) (\S+)$/.exec(
      line,
    );
    expect(sample, line).not.toBeNull();
    const [, name = "", value = ""] = sample ?? [];
    expect(found.has(name), name).toBe(false);
    found.set(name, Number(value));
  }
  return found;
}

const figures: StoredFigures = {
  nodes: [{ power: "on", count: 3 }],
  layers: [
    { layer: "machine", state: "up", count: 2 },
    { layer: "machine", state: "unknown", count: 1 },
  ],
  journals: { unheard: 3, ages: [] },
  runs: [{ job: 'a "quoted"\njob', outcome: "ok", count: 4 }],
  overdueSeconds: 0,
  alerts: [],
  deliveries: [{ channel: "phone", state: "failing", count: 2, oldestSeconds: 60.5 }],
  givenUp: [{ channel: "phone", count: 5 }],
  recovery: {
    episodes: [{ trouble: "software", count: 1 }],
    actions: [{ rung: "runtime", outcome: "done", count: 2 }],
    brake: "fleet",
  },
  databaseBytes: 1e9,
};
const silent = (): void => undefined;

describe("what Prometheus is told", () => {
  it("holds each figure once, by its unit, and zero only where a count is zero", async () => {
    const metrics = openMetrics({ figures: async () => figures, log: silent });
    metrics.countReading("practice", "ok");
    metrics.countReading("practice", "ok");
    metrics.countReading("practice", "shape");
    const samples = samplesIn(await metrics.text());
    expect(Object.fromEntries(samples)).toMatchObject({
      gradientlab_database_up: 1,
      'gradientlab_nodes{power="on"}': 3,
      'gradientlab_nodes{power="off"}': 0,
      'gradientlab_node_layers{layer="machine",state="up"}': 2,
      'gradientlab_node_layers{layer="machine",state="down"}': 0,
      gradientlab_nodes_unheard: 3,
      'gradientlab_due_times{job="a \\"quoted\\"\\njob",outcome="ok"}': 4,
      'gradientlab_alerts{severity="critical"}': 0,
      'gradientlab_alert_deliveries_waiting{channel="phone",state="failing"}': 2,
      'gradientlab_alert_delivery_age_seconds{channel="phone",state="failing"}': 60.5,
      'gradientlab_alert_deliveries_given_up{channel="phone"}': 5,
      'gradientlab_recovery_nodes{trouble="software"}': 1,
      'gradientlab_recovery_nodes{trouble="verdict"}': 0,
      'gradientlab_recovery_actions{rung="runtime",outcome="done"}': 2,
      'gradientlab_recovery_brake{cause="fleet"}': 1,
      'gradientlab_recovery_brake{cause="operator"}': 0,
      gradientlab_database_bytes: 1e9,
      'gradientlab_readings_total{network="practice",outcome="ok"}': 2,
      'gradientlab_readings_total{network="practice",outcome="shape"}': 1,
    });
    // No node was ever heard of: there is no age, and none is made up.
    expect([...samples.keys()].filter((name) => name.startsWith("gradientlab_journal_age"))).toEqual([]);
    for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"]) {
      expect(samples.get(name)).toBeGreaterThan(0);
    }
  });

  it("holds every metric that the guide and the rules name", async () => {
    const metrics = openMetrics({
      figures: async () => ({ ...figures, journals: { unheard: 0, ages: [{ quantile: "1", seconds: 1 }] } }),
      log: silent,
    });
    metrics.countReading("practice", "ok");
    const told = [...samplesIn(await metrics.text()).keys()].map((sample) => {
      const [, name = "", labels = ""] = /^([^{]+)(?:\{(.*)\})?$/.exec(sample) ?? [];
      return [name, ...[...labels.matchAll(/([a-z]+)="/g)].map(([, label]) => label)].join(" ");
    });
    const guide = await readFile(new URL("../../docs/operating.md", import.meta.url), "utf8");
    const inGuide = [...guide.matchAll(/`(gradientlab_[a-z_]+)(?:\{([a-z,]+)\})?`/g)].map(([, name, labels]) =>
      [name, ...(labels?.split(",") ?? [])].join(" "),
    );
    const own = told.filter((name) => name.startsWith("gradientlab_") && !name.startsWith("gradientlab_build_info"));
    expect(new Set(inGuide.filter((name) => name !== "gradientlab_build_info"))).toEqual(new Set(own));
    const rules = await readFile(new URL("../../deploy/prometheus/rules.yml", import.meta.url), "utf8");
    const inRules = new Set(rules.match(/gradientlab_[a-z_]+/g));
    expect(inRules.size).toBeGreaterThan(3);
    expect([...inRules].filter((name) => own.every((one) => one.split(" ")[0] !== name))).toEqual([]);
  });

  it("counts what was given up and what is repaired, of the last day alone", async () => {
    const { database } = await server.fresh();
    const now = new Date("2027-03-01T12:00:00Z");
    const [yesterday, today] = [new Date("2027-02-28T11:00:00Z"), new Date("2027-03-01T11:00:00Z")];
    await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m0", "/nowhere")], today), today);
    for (const [at, id] of [
      [yesterday, "00000000-0000-4000-8000-000000000001"],
      [today, "00000000-0000-4000-8000-000000000002"],
    ] as const) {
      await database
        .insertInto("alert_message")
        .values({ id, at, rule: "node-silent", kind: "began", severity: "info", title: "", body: "", alerts: "[]" })
        .execute();
      await database
        .insertInto("alert_delivery")
        .values({ message_id: id, channel: "phone", next_try_at: at, given_up_at: at, reason: "no" })
        .execute();
      await database.insertInto("recovery_brake").values({ cause: "operator", reason: "", set_at: at }).execute();
      const ended = { released_at: at, released_by: "operator" } as const;
      if (at === yesterday) await database.updateTable("recovery_brake").set(ended).execute();
      const episode = await database
        .insertInto("recovery_episode")
        .values({
          node_id: 1,
          machine_id: "m0",
          trouble: "software",
          reason: "",
          trouble_since: at,
          opened_at: at,
          standing: "",
          ...(at === yesterday ? { closed_at: at, outcome: "recovered" } : {}),
        })
        .returning("id")
        .executeTakeFirstOrThrow();
      await database
        .insertInto("recovery_action")
        .values({
          action_id: id,
          episode_id: episode.id,
          node_id: 1,
          machine_id: "m0",
          rung: "runtime",
          reason: "",
          evidence: "{}",
          decided_at: at,
          next_try_at: at,
          ...(at === yesterday ? { ended_at: at, outcome: "done" } : {}),
        })
        .execute();
    }
    const { givenUp, recovery } = await storedFigures(database, now);
    expect(givenUp).toEqual([{ channel: "phone", count: 1 }]);
    expect(recovery).toEqual({
      episodes: [{ trouble: "software", count: 1 }],
      actions: [{ rung: "runtime", outcome: "open", count: 1 }],
      brake: "operator",
    });
  });

  it("leaves out what a database that hangs would have said, and asks it once for all who wait", async () => {
    let asked = 0;
    let answer: (found: StoredFigures) => void = silent;
    const hanging = new Promise<StoredFigures>((resolve) => {
      answer = resolve;
    });
    const metrics = openMetrics({
      figures: () => {
        asked++;
        return hanging;
      },
      log: silent,
      patienceMs: 20,
    });
    const [one, other] = (await Promise.all([metrics.text(), metrics.text()])).map(samplesIn);
    expect(asked).toBe(1);
    for (const samples of [one, other]) {
      expect(samples?.get("gradientlab_database_up")).toBe(0);
      expect([...(samples?.keys() ?? [])].filter((name) => /^gradientlab_(node|due|alert|journal)/.test(name))).toEqual(
        [],
      );
      expect(samples?.get("process_resident_memory_bytes")).toBeGreaterThan(0);
    }
    answer(figures);
    await hanging;
    expect(samplesIn(await metrics.text()).get("gradientlab_database_up")).toBe(1);
  });

  it("says of a database that fails in the log once, until it fails otherwise", async () => {
    const lines: string[] = [];
    const metrics = openMetrics({
      figures: () => Promise.reject(new Error("no more room")),
      log: (_level, sentence) => lines.push(sentence),
    });
    for (let scrape = 0; scrape < 3; scrape++)
      expect(samplesIn(await metrics.text()).get("gradientlab_database_up")).toBe(0);
    expect(lines).toEqual(["The database was not asked for metrics: no more room"]);
  });
});

describe("a collector at work", () => {
  const ready = async (): Promise<{ status: number; waiting: string[] }> => {
    const answer = await fetch(`${collector?.url}/readyz`);
    return { status: answer.status, waiting: ((await answer.json()) as { waiting: string[] }).waiting };
  };
  const metrics = async (): Promise<ReadonlyMap<string, number>> => {
    const answer = await fetch(`${collector?.url}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    return samplesIn(await answer.text());
  };

  it("shows its fleet and its ledger, is ready by its schema and database, and stays alive without them", async () => {
    const url = await server.freshUrl();
    const one = await nodeFolder(join(home, "nodes"), "home/0");
    const release = one.live();
    one.append({ runtime: { state: "up", restarts: 0, pss_bytes: 1000 }, app: { state: "up" } });
    const record = nodeRecord("home/0", one.machineId, one.directory);
    const stopped = nodeRecord("home/1", "m1", "/nowhere", { power: "off" });
    await writeInventory(join(home, "inventory.json"), [record, stopped]);
    // As the compose file has it: the password stands in a file of its own.
    const address = new URL(url);
    const { hostname, port, username, password } = address;
    address.password = "";
    const passwords = join(home, "pgpass");
    await writeFile(passwords, `${hostname}:${port}:*:${username}:${password}\n`, { mode: 0o600 });
    collector = await startCollectorProcess({
      DATABASE_URL: address.href,
      PGPASSFILE: passwords,
      DATA_DIR: join(home, "data"),
      INVENTORY: join(home, "inventory.json"),
      PULL_SECONDS: "1",
    });
    const samples = await eventually("the node's lines", async () => {
      const now = await metrics();
      return now.get('gradientlab_node_layers{layer="machine",state="up"}') === 1 ? now : undefined;
    });
    expect(samples.get("gradientlab_database_up")).toBe(1);
    expect(samples.get('gradientlab_nodes{power="on"}')).toBe(1);
    expect(samples.get('gradientlab_nodes{power="off"}')).toBe(1);
    expect(samples.get("gradientlab_nodes_unheard")).toBe(0);
    expect(samples.get('gradientlab_journal_age_seconds{quantile="1"}')).toBeLessThan(120);
    expect(samples.get("gradientlab_due_time_age_seconds")).toBe(0);
    expect(samples.get("gradientlab_database_bytes")).toBeGreaterThan(1e6);
    expect(await ready()).toEqual({ status: 200, waiting: [] });

    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query("insert into migration (number, name, sha256) values (999, '0999-later.sql', '')");
    expect(await ready()).toEqual({ status: 503, waiting: ["schema"] });
    await client.query("delete from migration where number = 999");
    expect((await ready()).status).toBe(200);
    await client.end();

    const other = new pg.Client({ connectionString: await server.freshUrl() });
    await other.connect();
    await other.query(`drop database ${new URL(url).pathname.slice(1)} with (force)`);
    await other.end();
    expect((await metrics()).get("gradientlab_database_up")).toBe(0);
    expect(await ready()).toMatchObject({ status: 503, waiting: ["database"] });
    expect((await fetch(`${collector.url}/healthz`)).status).toBe(200);
    release();
  });
});
