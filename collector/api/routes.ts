import type { FastifyInstance, FastifySchema } from "fastify";
import { z } from "zod";
import { type FindWorkload, plainLayers } from "../inventory/workloads.ts";
import { adapterOf } from "../networks/adapters.ts";
import { alertRows, markAlert } from "../store/alerts.ts";
import type { Archives } from "../store/archive/archives.ts";
import { costRows } from "../store/costs.ts";
import type { Database } from "../store/database.ts";
import { actionRows, brakeNow, openTroubles, releaseBrake, setBrake } from "../store/recovery.ts";
import {
  factRows,
  gapRows,
  incarnationRows,
  nodeIdOf,
  nodeRows,
  openLayers,
  readingRow,
  referralRows,
  rollupRows,
  runRows,
  sampleRows,
  stateRows,
  workloadOf,
} from "../store/views.ts";
import { paging, readPage } from "./paging.ts";
import { plainJson } from "./plain-json.ts";
import { notFound } from "./problem.ts";
import {
  AlertList,
  AlertMark,
  CostList,
  FactList,
  GapList,
  IncarnationList,
  type Layer,
  LayerName,
  type Layers,
  layerNames,
  NodeItem,
  NodeList,
  ReadingItem,
  RecoveryActionList,
  RecoveryMark,
  RecoveryState,
  ReferralList,
  RollupList,
  RunList,
  SampleList,
  StateList,
  WorkloadItem,
} from "./types.ts";

/** What the routes read from. */
export interface RouteDependencies {
  readonly database: Database;
  readonly archives: Archives;
  readonly workloads: FindWorkload;
  readonly now: () => Date;
}

const Group = z.string().regex(/^[a-z][a-z0-9-]{0,19}$/, "must be a group's name");
const Slot = z.string().regex(/^(0|[1-9][0-9]{0,8})$/, "must be a slot's number");
const NodeParams = z.strictObject({ group: Group, slot: Slot });
const Instant = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .optional();
const Id = z.string().regex(/^[0-9]{1,18}$/, "must be an id");
const IdPlace = z.tuple([Id]);
const layerFilters = {
  "layer.machine": z.string().optional(),
  "layer.runtime": z.string().optional(),
  "layer.app": z.string().optional(),
  "layer.verdict": z.string().optional().describe("The network's own word, verbatim."),
  "layer.reward": z.string().optional(),
};
const range = { from: Instant.describe("Inclusive."), to: Instant.describe("Exclusive.") };
const factFilters = { metric: z.string().max(100).optional(), day: z.iso.date().optional(), ...range };

/** Serves everything below `/api/v1` that is read once; the live stream is apart. */
export function serveRoutes(app: FastifyInstance, { database, archives, workloads, now }: RouteDependencies): void {
  const nodeId = async (params: z.infer<typeof NodeParams>): Promise<number> => {
    const key = `${params.group}/${params.slot}`;
    const id = await nodeIdOf(database, key);
    if (id === undefined) throw notFound(`node ${key}`);
    return id;
  };

  const Nodes = z.strictObject({ group: Group.optional(), ...layerFilters, ...paging });
  const NodePlace = z.tuple([z.string(), z.int()]);
  get(
    app,
    "/nodes",
    "Nodes in the order of their keys, gone ones included.",
    { query: Nodes, answer: NodeList },
    async ({ query }) => {
      const layers = Object.fromEntries(
        layerNames.flatMap((layer) => {
          const value = query[`layer.${layer}`];
          return value === undefined ? [] : [[layer, value]];
        }),
      );
      return readPage(
        query,
        NodePlace,
        async (place, limit) => {
          const rows = await nodeRows(database, {
            ...(query.group === undefined ? {} : { group: query.group }),
            ...(place === undefined ? {} : { after: { group: place[0], slot: place[1] } }),
            layers,
            limit,
          });
          return nodeItems(rows);
        },
        (item) => item,
        (item) => [item.group, item.slot],
      );
    },
  );

  const nodeItems = async (rows: Awaited<ReturnType<typeof nodeRows>>): Promise<NodeItem[]> => {
    const open = await openLayers(
      database,
      rows.map(({ id }) => id),
    );
    return Promise.all(
      rows.map(async (row) => {
        const names = (await workloads(row.workload))?.layers ?? plainLayers;
        const layers = Object.fromEntries(
          layerNames.map((layer) => [
            layer,
            layerItem(
              layer,
              names[layer],
              open.find((entry) => entry.node_id === row.id && entry.layer === layer),
            ),
          ]),
        ) as Layers;
        return nodeItem(row, layers);
      }),
    );
  };

  get(app, "/nodes/:group/:slot", "One node.", { params: NodeParams, answer: NodeItem }, async ({ params }) => {
    const key = `${params.group}/${params.slot}`;
    const [item] = await nodeItems(await nodeRows(database, { key, limit: 1 }));
    if (item === undefined) throw notFound(`node ${key}`);
    return item;
  });

  const Samples = z.strictObject({
    kind: z.enum(["sample", "event"]).optional(),
    order: z.enum(["asc", "desc"]).optional().describe("desc, the newest first, when absent."),
    ...range,
    ...paging,
  });
  const SamplePlace = z.tuple([z.iso.datetime(), z.int(), Id]);
  get(
    app,
    "/nodes/:group/:slot/samples",
    "Lines of the node's journal: samples and events, from the database and its archives as one. 410: an archive is missing.",
    { params: NodeParams, query: Samples, answer: SampleList },
    ({ params, query }) =>
      readPage(
        query,
        SamplePlace,
        async (place, limit) =>
          sampleRows(
            database,
            {
              nodeId: await nodeId(params),
              order: query.order ?? "desc",
              ...(query.kind === undefined ? {} : { kind: query.kind }),
              ...bounds(query),
              ...(place === undefined ? {} : { after: { at: new Date(place[0]), journal: place[1], n: place[2] } }),
              limit,
            },
            archives,
          ),
        (row) => ({
          journal: row.uuid,
          n: Number(row.n),
          at: row.at.toISOString(),
          kind: row.kind,
          everySeconds: row.every_s,
          line: plainJson(row.line),
        }),
        (row) => [row.at.toISOString(), row.journal_id, row.n],
      ),
  );

  const Rollups = z.strictObject({ every: z.enum(["hour", "day"]), ...range, ...paging });
  const RollupPlace = z.tuple([z.iso.datetime()]);
  get(
    app,
    "/nodes/:group/:slot/rollups",
    "Sums of the node's lines over hours or UTC days that have any, oldest first.",
    { params: NodeParams, query: Rollups, answer: RollupList },
    ({ params, query }) =>
      readPage(
        query,
        RollupPlace,
        async (place, limit) =>
          rollupRows(database, {
            nodeId: await nodeId(params),
            every: query.every,
            ...bounds(query),
            ...(place === undefined ? {} : { from: new Date(Date.parse(place[0]) + 1) }),
            limit,
          }),
        (row) => ({
          from: row.at.toISOString(),
          samples: row.samples,
          events: row.events,
          coveredMs: Number(row.covered_ms),
          runtime: { up: row.runtime_up, told: row.runtime_told },
          app: { up: row.app_up, told: row.app_told },
          restartsMax: numberIn(row.restarts_max),
          pss:
            row.pss_count === 0
              ? null
              : { count: row.pss_count, sumBytes: row.pss_sum, maxBytes: Number(row.pss_max ?? 0) },
          memoryAvailableMinBytes: numberIn(row.memory_available_min),
          diskFreeMinBytes: numberIn(row.disk_free_min),
        }),
        (row) => [row.at.toISOString()],
      ),
  );

  const States = z.strictObject({ layer: LayerName.optional(), ...range, ...paging });
  const StatePlace = z.tuple([z.iso.datetime(), Id]);
  get(
    app,
    "/nodes/:group/:slot/states",
    "Stretches of the node's layers that reach into the range, the latest beginning first.",
    { params: NodeParams, query: States, answer: StateList },
    ({ params, query }) =>
      readPage(
        query,
        StatePlace,
        async (place, limit) =>
          stateRows(database, {
            nodeId: await nodeId(params),
            ...(query.layer === undefined ? {} : { layer: query.layer }),
            ...bounds(query),
            ...(place === undefined ? {} : { after: { from: new Date(place[0]), id: place[1] } }),
            limit,
          }),
        (row) => ({
          layer: row.layer,
          value: row.value,
          ...(row.class === null ? {} : { class: row.class }),
          reason: row.reason,
          from: row.from_at.toISOString(),
          to: row.to_at?.toISOString() ?? null,
          asOf: row.as_of.toISOString(),
          startCensoring: row.start_censoring,
          endCensoring: row.end_censoring,
          evidence: row.evidence,
        }),
        (row) => [row.from_at.toISOString(), row.id],
      ),
  );

  const NodeRewards = z.strictObject({ ...factFilters, ...paging });
  get(
    app,
    "/nodes/:group/:slot/rewards",
    "What the network told of the node, the newest first.",
    { params: NodeParams, query: NodeRewards, answer: FactList },
    async ({ params, query }) => facts(query, { nodeId: await nodeId(params) }),
  );

  const Paged = z.strictObject(paging);
  get(
    app,
    "/nodes/:group/:slot/gaps",
    "Stretches for which nothing of the node was read, the newest first.",
    { params: NodeParams, query: Paged, answer: GapList },
    async ({ params, query }) => gaps(query, await nodeId(params)),
  );

  const NumberPlace = z.tuple([z.int()]);
  get(
    app,
    "/nodes/:group/:slot/incarnations",
    "The lives of the node's machines, the newest first.",
    { params: NodeParams, query: Paged, answer: IncarnationList },
    ({ params, query }) =>
      readPage(
        query,
        NumberPlace,
        async (place, limit) =>
          incarnationRows(database, {
            nodeId: await nodeId(params),
            ...(place === undefined ? {} : { after: place[0] }),
            limit,
          }),
        (row) => ({
          machineId: row.machine_id,
          from: row.from_at.toISOString(),
          to: row.to_at?.toISOString() ?? null,
          journals: row.journals.map((journal) => ({
            journal: journal.uuid,
            cursor: Number(journal.cursor),
            firstSeenAt: journal.first_seen_at.toISOString(),
          })),
        }),
        (row) => [row.id],
      ),
  );

  const GroupParams = z.strictObject({ group: Group });
  get(
    app,
    "/groups/:group/workload",
    "What the group's workload and its layers are called.",
    { params: GroupParams, answer: WorkloadItem },
    async ({ params: { group } }) => {
      const name = await workloadOf(database, group);
      if (name === undefined) throw notFound(`group ${group}`);
      const descriptor = await workloads(name);
      return {
        group,
        workload: name,
        title: descriptor?.title ?? name,
        layers: descriptor?.layers ?? { ...plainLayers },
      };
    },
  );

  const Rewards = z.strictObject({
    network: z.string().max(100).optional(),
    account: z.string().max(200).optional(),
    about: z.enum(["account", "node"]).optional(),
    ...factFilters,
    ...paging,
  });
  get(app, "/rewards", "What networks told, the newest first.", { query: Rewards, answer: FactList }, ({ query }) =>
    facts(query, {
      ...(query.network === undefined ? {} : { network: query.network }),
      ...(query.account === undefined ? {} : { account: query.account }),
      ...(query.about === undefined ? {} : { about: query.about }),
    }),
  );

  const AccountParams = z.strictObject({ network: z.string().max(100), account: z.string().max(200) });
  get(
    app,
    "/accounts/:network/:account/rewards",
    "What the network told of the account itself, the newest first.",
    { params: AccountParams, query: NodeRewards, answer: FactList },
    ({ params, query }) => facts(query, { ...params, about: "account" }),
  );

  const AccountPlace = z.tuple([z.string(), z.string()]);
  get(
    app,
    "/referrals",
    "Referral counts of each account, as the network last reported them.",
    { query: Paged, answer: ReferralList },
    ({ query }) =>
      readPage(
        query,
        AccountPlace,
        async (place, limit) => referralRows(database, place, limit),
        (row) => ({
          network: row.network,
          account: row.account,
          practice: row.practice,
          invitee: row.invitee ?? "",
          pending: row.pending ?? "",
          asOf: row.as_of.toISOString(),
          reading: row.reading_id,
        }),
        (row) => [row.network, row.account],
      ),
  );

  const ReadingParams = z.strictObject({ id: Id });
  get(
    app,
    "/readings/:id",
    "One raw answer, redacted of secrets. 410: its archive is missing.",
    { params: ReadingParams, answer: ReadingItem },
    async ({ params: { id } }) => {
      const row = await readingRow(database, id, archives);
      if (row === undefined) throw notFound(`reading ${id}`);
      return {
        id: row.id,
        network: row.network,
        account: row.account,
        source: row.source,
        startedAt: row.started_at.toISOString(),
        finishedAt: row.finished_at.toISOString(),
        httpStatus: row.http_status,
        outcome: row.outcome,
        reason: row.reason,
        sha256: row.sha256,
        size: row.size,
        redactor: row.redactor,
        n: row.n,
        previous: row.previous,
        hash: row.hash,
        body: row.body,
        erased: row.erased,
      };
    },
  );

  const Costs = z.strictObject({ node: z.string().max(40).optional(), ...range, ...paging });
  get(
    app,
    "/costs",
    "List prices of nodes and of what they share, each with its source, the newest first.",
    { query: Costs, answer: CostList },
    async ({ query }) => {
      const [group = "", slot = ""] = query.node?.split("/") ?? [];
      const filter = query.node === undefined ? {} : { nodeId: await nodeId({ group, slot }) };
      return readPage(
        query,
        IdPlace,
        async (place, limit) =>
          costRows(database, {
            ...filter,
            ...bounds(query),
            ...(place === undefined ? {} : { after: place[0] }),
            limit,
          }),
        (row) => ({
          id: row.id,
          node: row.key,
          item: row.item,
          microUsdPerMonth: row.micro_usd_per_month,
          source: row.source,
          checkedOn: row.checked_on,
          from: row.from_at.toISOString(),
          to: row.to_at?.toISOString() ?? null,
        }),
        (row) => [row.id],
      );
    },
  );

  const Runs = z.strictObject({
    job: z.string().max(300).optional(),
    outcome: z.string().max(100).optional(),
    ...range,
    ...paging,
  });
  const RunPlace = z.tuple([z.iso.datetime(), Id]);
  get(
    app,
    "/runs",
    "Due times of jobs and what became of each, the latest first.",
    { query: Runs, answer: RunList },
    ({ query }) =>
      readPage(
        query,
        RunPlace,
        async (place, limit) =>
          runRows(database, {
            ...(query.job === undefined ? {} : { job: query.job }),
            ...(query.outcome === undefined ? {} : { outcome: query.outcome }),
            ...bounds(query),
            ...(place === undefined ? {} : { after: { due: new Date(place[0]), id: place[1] } }),
            limit,
          }),
        (row) => ({
          id: row.id,
          job: row.job,
          due: row.due.toISOString(),
          attempts: row.attempts,
          claimedAt: row.claimed_at?.toISOString() ?? null,
          lateMs: row.claimed_at === null ? null : row.claimed_at.getTime() - row.due.getTime(),
          finishedAt: row.finished_at?.toISOString() ?? null,
          outcome: row.outcome,
          reason: row.reason,
          answeredBy: row.answered_by,
        }),
        (row) => [row.due.toISOString(), row.id],
      ),
  );

  const Alerts = z.strictObject({
    open: z
      .enum(["true", "false"])
      .transform((text) => text === "true")
      .optional(),
    rule: z.string().max(100).optional(),
    ...paging,
  });
  get(
    app,
    "/alerts",
    "What somebody should know of, the newest first.",
    { query: Alerts, answer: AlertList },
    ({ query }) =>
      readPage(
        query,
        IdPlace,
        async (place, limit) =>
          alertRows(database, {
            ...(query.open === undefined ? {} : { open: query.open }),
            ...(query.rule === undefined ? {} : { rule: query.rule }),
            ...(place === undefined ? {} : { after: place[0] }),
            limit,
          }),
        (row) => ({
          id: row.id,
          rule: row.rule,
          subject: row.subject,
          severity: row.severity,
          summary: row.summary,
          fix: row.fix,
          since: row.since.toISOString(),
          openedAt: row.opened_at.toISOString(),
          resolvedAt: row.resolved_at?.toISOString() ?? null,
          acknowledgedAt: row.acknowledged_at?.toISOString() ?? null,
          readAt: row.read_at?.toISOString() ?? null,
          toldAt: row.told_at?.toISOString() ?? null,
          escalatedAt: row.escalated_at?.toISOString() ?? null,
        }),
        (row) => [row.id],
      ),
  );
  for (const [path, column, summary] of [
    ["/alerts/:id/ack", "acknowledged_at", "Says that somebody sees to the alert: it is not told again."],
    ["/alerts/:id/read", "read_at", "Says that somebody has read of the alert."],
  ] as const) {
    mark(app, path, summary, async (id) => {
      const at = now();
      if (!(await markAlert(database, id, column, at))) throw notFound(`alert ${id}`);
      return { id, at: at.toISOString() };
    });
  }

  const actions = (query: z.infer<typeof Paged>, about: { nodeId?: number } = {}): Promise<RecoveryActionList> =>
    readPage(
      query,
      IdPlace,
      (place, limit) => actionRows(database, { ...about, ...(place === undefined ? {} : { after: place[0] }), limit }),
      (row) => ({
        id: row.id,
        action: row.action_id,
        node: row.key,
        machineId: row.machine_id,
        trouble: row.trouble,
        rung: row.rung,
        reason: row.reason,
        evidence: row.evidence,
        decidedAt: row.decided_at.toISOString(),
        sentAt: row.sent_at?.toISOString() ?? null,
        attempts: row.attempts,
        endedAt: row.ended_at?.toISOString() ?? null,
        outcome: row.outcome,
        detail: row.detail,
        episodeOutcome: row.episode_outcome,
      }),
      (row) => [row.id],
    );
  get(
    app,
    "/recovery",
    "How the repair of nodes stands: the brake, and the nodes in trouble.",
    { answer: RecoveryState },
    async () => {
      const brake = await brakeNow(database);
      return {
        asOf: now().toISOString(),
        brake: brake === null ? null : { cause: brake.cause, reason: brake.reason, since: brake.set_at.toISOString() },
        nodes: (await openTroubles(database)).map((row) => ({
          node: row.key,
          trouble: row.trouble,
          reason: row.reason,
          since: row.trouble_since.toISOString(),
          wellSince: row.well_since?.toISOString() ?? null,
          standing: row.standing,
        })),
      };
    },
  );
  get(
    app,
    "/recovery/actions",
    "What was done for nodes in trouble, or proposed, the newest first.",
    { query: Paged, answer: RecoveryActionList },
    ({ query }) => actions(query),
  );
  get(
    app,
    "/nodes/:group/:slot/actions",
    "What was done for one node, or proposed, the newest first.",
    { params: NodeParams, query: Paged, answer: RecoveryActionList },
    async ({ params, query }) => actions(query, { nodeId: await nodeId(params) }),
  );
  for (const [path, change, summary] of [
    ["/recovery/pause", setBrake, "Sets the brake: nothing is done for any node until it is released."],
    ["/recovery/release", releaseBrake, "Releases the brake, whoever set it."],
  ] as const) {
    const schema = { summary, querystring: Nothing, body: Nothing, response: { 200: RecoveryMark } };
    app.post(path, { schema }, async () => {
      const at = now();
      return { changed: await change(database, at), at: at.toISOString() };
    });
  }

  get(
    app,
    "/gaps",
    "Stretches for which nothing was read, the newest first.",
    { query: Paged, answer: GapList },
    ({ query }) => gaps(query),
  );

  const facts = (
    query: z.infer<typeof NodeRewards>,
    about: { nodeId?: number; network?: string; account?: string; about?: "account" | "node" },
  ): Promise<FactList> =>
    readPage(
      query,
      IdPlace,
      async (place, limit) =>
        factRows(database, {
          ...about,
          ...bounds(query),
          ...(query.metric === undefined ? {} : { metric: query.metric }),
          ...(query.day === undefined ? {} : { day: query.day }),
          ...(place === undefined ? {} : { after: place[0] }),
          limit,
        }),
      (row) => ({
        id: row.id,
        network: row.network,
        account: row.account,
        node: row.node_key,
        networkNodeId: row.network_node_id,
        metric: row.metric,
        kind: row.kind,
        units: row.value,
        text: row.text,
        unit: row.unit,
        scale: row.scale,
        day: row.day,
        derived: row.derived,
        parser: row.parser,
        asOf: row.as_of.toISOString(),
        reading: row.reading_id,
      }),
      (row) => [row.id],
    );

  const gaps = (query: z.infer<typeof Paged>, node?: number): Promise<GapList> =>
    readPage(
      query,
      IdPlace,
      async (place, limit) =>
        gapRows(database, {
          ...(node === undefined ? {} : { nodeId: node }),
          ...(place === undefined ? {} : { after: place[0] }),
          limit,
        }),
      (row) => ({
        id: row.id,
        node: row.node_key,
        network: row.network,
        account: row.account,
        kind: row.kind,
        from: row.from_at.toISOString(),
        to: row.to_at?.toISOString() ?? null,
        reason: row.reason,
      }),
      (row) => [row.id],
    );
}

const Nothing = z.strictObject({});

/** Adds a route whose parameters, query and answer have schemas; unknown query members are refused. */
function get<Params extends z.ZodType, Query extends z.ZodType, Answer extends z.ZodType>(
  app: FastifyInstance,
  path: string,
  summary: string,
  schemas: { params?: Params; query?: Query; answer: Answer },
  handle: (request: { params: z.output<Params>; query: z.output<Query> }) => Promise<z.output<Answer>>,
): void {
  const schema: FastifySchema & { readonly summary: string } = {
    summary,
    ...(schemas.params === undefined ? {} : { params: schemas.params }),
    querystring: schemas.query ?? Nothing,
    response: { 200: schemas.answer },
  };
  app.get(path, { schema }, (request) =>
    handle({ params: request.params as z.output<Params>, query: request.query as z.output<Query> }),
  );
}

const MarkParams = z.strictObject({ id: Id });

/** Adds a route that marks the thing of an id. It is asked for with POST and an empty JSON object. */
function mark(
  app: FastifyInstance,
  path: string,
  summary: string,
  handle: (id: string) => Promise<z.output<typeof AlertMark>>,
): void {
  const schema: FastifySchema & { readonly summary: string } = {
    summary,
    params: MarkParams,
    querystring: Nothing,
    // A page of somebody else's cannot send JSON here without being asked whether it may.
    body: Nothing,
    response: { 200: AlertMark },
  };
  app.post(path, { schema }, (request) => handle((request.params as z.output<typeof MarkParams>).id));
}

function bounds(query: { from?: Date | undefined; to?: Date | undefined }): { from?: Date; to?: Date } {
  return {
    ...(query.from === undefined ? {} : { from: query.from }),
    ...(query.to === undefined ? {} : { to: query.to }),
  };
}

type OpenLayer = Awaited<ReturnType<typeof openLayers>>[number];

function layerItem(layer: LayerName, name: string, open: OpenLayer | undefined): Layer {
  if (open === undefined) {
    return {
      value: "unknown",
      ...(layer === "verdict" ? { class: "unknown" as const } : {}),
      name,
      reason: "nothing was read of it yet",
      since: null,
      asOf: null,
    };
  }
  return {
    value: open.value,
    ...(open.class === null ? {} : { class: open.class }),
    name,
    reason: open.reason,
    since: open.from_at.toISOString(),
    asOf: open.as_of.toISOString(),
  };
}

function nodeItem(row: Awaited<ReturnType<typeof nodeRows>>[number], layers: Layers): NodeItem {
  const { points_value: units, points_as_of: asOf, points_reading: reading } = row;
  return {
    key: row.key,
    group: row.node_group,
    slot: row.slot,
    label: row.label,
    provider: row.provider,
    region: row.region,
    workload: row.workload,
    network: row.network,
    practice: row.network !== null && adapterOf(row.network)?.practice === true,
    power: row.power,
    gone: row.gone_at !== null,
    goneAt: row.gone_at?.toISOString() ?? null,
    machineId: row.machine_id,
    layers,
    networkNodeId: row.network_node_id,
    points:
      units === null || asOf === null || reading === null
        ? null
        : { units, scale: row.points_scale ?? 0, unit: row.points_unit ?? "", asOf: asOf.toISOString(), reading },
    lastSampleAt: row.last_sample_at?.toISOString() ?? null,
    restarts: row.restarts,
    pssBytes: row.pss_bytes === null ? null : Number(row.pss_bytes),
  };
}

const numberIn = (text: string | null): number | null => (text === null ? null : Number(text));
