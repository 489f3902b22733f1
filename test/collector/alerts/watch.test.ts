import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Delivery } from "../../../collector/alerts/channels/delivery.ts";
import { type AlertSettings, type Channel, usualSettings } from "../../../collector/alerts/settings.ts";
import { type AlertWatch, watchAlerts } from "../../../collector/alerts/watch.ts";
import { workloadsIn } from "../../../collector/inventory/workloads.ts";
import { alertRows, markAlert } from "../../../collector/store/alerts.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";
import { type Sink, startSink } from "./sink.ts";

const server = serverForFile();
const start = Date.UTC(2027, 2, 1);
const log: string[] = [];
let database: Database;
let sink: Sink;
let now = start;
const watches: AlertWatch[] = [];

beforeEach(async () => {
  ({ database } = await server.fresh());
  sink = await startSink();
  now = start;
  log.length = 0;
});
afterEach(async () => {
  for (const watch of watches.splice(0)) watch.stop();
  await sink.stop();
});

function webhook(more: Partial<Channel> = {}): Channel {
  const secret = `whsec_${randomBytes(24).toString("base64")}`;
  return { kind: "webhook", name: "hook", least: "info", escalation: false, url: sink.url, secret, ...more } as Channel;
}

function watchWith(parts: Partial<AlertSettings>): AlertWatch {
  const watch = watchAlerts(
    { ...usualSettings, ...parts },
    {
      database,
      log: (_level, msg) => log.push(msg),
      now: () => new Date(now),
      workloads: workloadsIn(null),
      fetch: globalThis.fetch,
    },
  );
  watches.push(watch);
  return watch;
}

/** Lets the watch look and deliver every `step` seconds of its clock. */
async function pass(watch: AlertWatch, seconds: number, step = 30): Promise<void> {
  for (const end = now + seconds * 1_000; now < end; ) {
    now += step * 1_000;
    await watch.look();
    await watch.deliver();
  }
}

async function fleetOf(count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, new Date(start - 1_000)), new Date(start - 1_000));
}

/** Gives the layer machine of every node this value from now on. */
async function machinesAre(value: string): Promise<void> {
  const at = new Date(now);
  await sql`update layer_interval set to_at = ${at} where layer = 'machine' and to_at is null`.execute(database);
  await sql`insert into layer_interval (node_id, layer, value, reason, from_at, as_of, evidence)
    select id, 'machine', ${value}, 'no sample comes', ${at}, ${at}, '{}' from node`.execute(database);
}

const told = (): (Delivery & { text: string })[] => sink.received.map(({ body }) => JSON.parse(body).data);

it("1,000 nodes that fail together are one message in, one out, and 1,000 alerts", async () => {
  await fleetOf(1_000);
  const watch = watchWith({ channels: [webhook()] });
  await machinesAre("up");
  await pass(watch, 30);
  await machinesAre("unknown");
  await pass(watch, 300, 100);
  expect(await alertRows(database, { open: true, limit: 2_000 })).toHaveLength(1_000);
  await pass(watch, 60);
  expect(told()).toMatchObject([{ rule: "node-silent", severity: "critical", count: 1_000 }]);
  expect(told()[0]?.title).toBe("1000 nodes are silent or down");

  await machinesAre("up");
  await pass(watch, 60);
  expect(await alertRows(database, { open: true, limit: 1 })).toEqual([]);
  expect(told().slice(1)).toMatchObject([{ title: "Over: 1000 nodes are silent or down", count: 1_000 }]);
});

it("a channel that is down for an hour loses no message, tells of itself, and gets each under one id", async () => {
  await fleetOf(3);
  const mail = await startSink();
  const channels = [webhook(), webhook({ name: "other", url: mail.url })];
  const watch = watchWith({ channels, escalateAfterMinutes: null });
  sink.answer = { status: 503, body: `no ${sink.url}/` };
  await machinesAre("unknown");
  await pass(watch, 3_600, 60);
  await machinesAre("up");
  await pass(watch, 600, 60);
  const tried = sink.received.length;
  expect(tried).toBeGreaterThan(4);
  expect(tried).toBeLessThan(40);
  expect(mail.received.map(({ body }) => JSON.parse(body).data.title)).toContain("3 nodes are silent or down");
  const [own] = await alertRows(database, { rule: "channel-down", limit: 10 });
  expect(own?.summary).toMatch(/^The channel hook has not taken messages since .*: answered with 503: no \[redacted\]/);

  sink.answer = { status: 200 };
  sink.received.length = 0;
  await pass(watch, 1_800, 60);
  const titles = mail.received.map(({ body }) => JSON.parse(body).data.title).sort();
  expect(
    told()
      .map(({ title }) => title)
      .sort(),
  ).toEqual(titles);
  expect(new Set(sink.received.map(({ headers }) => headers["webhook-id"]))).toEqual(
    new Set(mail.received.map(({ headers }) => headers["webhook-id"])),
  );
  expect(titles).toContain("Over: 3 nodes are silent or down");
  expect(titles.some((title: string) => title.startsWith("Over: The channel hook"))).toBe(true);
  await mail.stop();
});

it("is made by one of several collectors, and sent by any", async () => {
  await fleetOf(5);
  await machinesAre("unknown");
  const settings = { channels: [webhook()] };
  const several = [watchWith(settings), watchWith(settings), watchWith(settings)];
  for (let turn = 0; turn < 14; turn++) {
    now += 30_000;
    await Promise.all(several.map((watch) => watch.look()));
    await Promise.all(several.map((watch) => watch.deliver()));
  }
  expect(told().map(({ title }) => title)).toEqual(["5 nodes are silent or down"]);
});

it("an attempt whose collector died is made again, under the same id", async () => {
  await fleetOf(1);
  await machinesAre("unknown");
  const watch = watchWith({ channels: [webhook()] });
  await pass(watch, 400);
  // As a collector leaves it that dies between sending and noting it.
  await sql`update alert_delivery set delivered_at = null, lease_until = clock_timestamp() + interval '1 minute'`.execute(
    database,
  );
  await watch.deliver();
  expect(sink.received).toHaveLength(1);
  await sql`update alert_delivery set lease_until = clock_timestamp() - interval '1 second'`.execute(database);
  await watch.deliver();
  expect(sink.received.map(({ headers }) => headers["webhook-id"])).toHaveLength(2);
  expect(new Set(sink.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
});

it("what nobody acknowledges goes to those who take it then; what is acknowledged does not", async () => {
  await fleetOf(2);
  await machinesAre("unknown");
  const watch = watchWith({ channels: [webhook({ escalation: true })] });
  await pass(watch, 600);
  const [alert] = await alertRows(database, { rule: "node-silent", limit: 1 });
  expect(await markAlert(database, alert?.id ?? "", "acknowledged_at", new Date(now))).toBe(true);
  await pass(watch, 2_400, 60);
  expect(told().map(({ title }) => title)).toEqual([
    expect.stringMatching(/^Not acknowledged: home\/0 is silent since/),
  ]);
});

it("in quiet hours only what is critical is sent, and the rest afterwards", async () => {
  await fleetOf(1);
  const quiet = { from: "00:00", to: "01:00", zone: "UTC" };
  const rules = { "node-silent": { severity: "warning" } } as const;
  const watch = watchWith({ channels: [webhook({ quiet })], rules });
  await machinesAre("unknown");
  await pass(watch, 3_540, 60);
  expect(told()).toEqual([]);
  await pass(watch, 60, 60);
  expect(told()).toHaveLength(1);
});

it("what waits for a channel that left the settings is given up, and said", async () => {
  await fleetOf(1);
  await machinesAre("unknown");
  sink.answer = { status: 500 };
  await pass(watchWith({ channels: [webhook()] }), 400);
  await watchWith({ channels: [] }).deliver();
  expect(log).toContain("1 messages were given up: their channels left the alert settings.");
});

it("tells outside that it watches, and says once when nobody hears", async () => {
  const watch = watchWith({ heartbeat: { url: `${sink.url}/secret-ping`, everySeconds: 60 } });
  await pass(watch, 180);
  expect(sink.received.map(({ path }) => path)).toEqual(["/secret-ping", "/secret-ping", "/secret-ping"]);
  sink.answer = { status: 404 };
  await pass(watch, 180);
  expect(log).toEqual(["The heartbeat was not taken: it answered with 404"]);
});
