import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import pb from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { build } from "../../../infra/build.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { unknownValue } from "../../../infra/plugin/resource.ts";
import { known } from "../known.ts";

const { DiffChanges } = pb.DiffResponse;
let home: string;
let plugin: ChildProcess;
let client: providerGrpc.ResourceProviderClient;
let engine: grpc.Server;
let said: string[];

beforeAll(async () => {
  await build();
});
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "gl-"));
  said = [];
  engine = new grpc.Server();
  engine.addService(engineGrpc.EngineService, {
    log({ request }: { request: enginePb.LogRequest }, answer: (error: null, value: empty.Empty) => void) {
      said.push(request.getMessage());
      answer(null, new empty.Empty());
    },
  } as unknown as grpc.UntypedServiceImplementation);
  const enginePort = await new Promise<number>((resolve, reject) =>
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  plugin = spawn(join(checkout, "infra/bin/plugin/pulumi-resource-gradientlab"), [`127.0.0.1:${enginePort}`], {
    env: { ...process.env, GRADIENTLAB_HOME: home },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await new Promise<string>((resolve) =>
    plugin.stdout?.once("data", (text) => resolve(String(text).trim())),
  );
  client = new providerGrpc.ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
});
afterEach(async () => {
  client.close();
  engine.forceShutdown();
  const ended = new Promise((resolve) => (plugin.exitCode === null ? plugin.once("close", resolve) : resolve(null)));
  plugin.stdin?.end();
  await ended;
  rmSync(home, { recursive: true });
});

type Unary<Request, Response> = (
  request: Request,
  answer: (error: Error | null, response: Response) => void,
) => unknown;
function ask<Request, Response>(method: Unary<Request, Response>, request: Request): Promise<Response> {
  return new Promise((resolve, reject) =>
    method.call(client, request, (error, response) => (error === null ? resolve(response) : reject(error))),
  );
}
const urn = (type: string, name: string): string =>
  `urn:pulumi:dev::gradientlab::gradientlab:fleet:Fleet$${type}::${name}`;
const struct = (value: unknown): Struct => Struct.fromJavaScript(value as never);

const inventoryUrn = urn("gradientlab:index:InventoryFile", "dev");
const nodeUrn = urn("gradientlab:index:ProcessNode", "home/0");
const inventory = (...keys: string[]): string =>
  JSON.stringify({ schema: 1, stack: "dev", phase: null, freeUntil: [], shared: [], nodes: keys });
const empties = { groups: { home: "0 × pulse" }, inventory: inventory() };

const descriptor = known.workloads.get("pulse");
const { process: processes, probes } = descriptor ?? {};
const node = {
  key: "home/0",
  workload: "pulse",
  boot: JSON.stringify({ ...processes, probes }),
  network: null,
  power: "on",
  revision: { machine: 1, software: 1 },
  everySeconds: 10,
};

async function check(of: string, news: unknown, olds?: unknown): Promise<pb.CheckResponse> {
  const request = new pb.CheckRequest();
  request.setUrn(of);
  request.setNews(struct(news));
  if (olds !== undefined) request.setOlds(struct(olds));
  return ask(client.check as Unary<pb.CheckRequest, pb.CheckResponse>, request);
}
const failures = (response: pb.CheckResponse): string[] =>
  response.getFailuresList().map((failure) => `${failure.getProperty()}: ${failure.getReason()}`);

async function diff(of: string, olds: unknown, news: unknown): Promise<pb.DiffResponse.AsObject> {
  const request = new pb.DiffRequest();
  request.setUrn(of);
  request.setOldInputs(struct(olds));
  request.setNews(struct(news));
  return (await ask(client.diff as Unary<pb.DiffRequest, pb.DiffResponse>, request)).toObject();
}

async function create(of: string, properties: unknown, preview: boolean): Promise<pb.CreateResponse> {
  const request = new pb.CreateRequest();
  request.setUrn(of);
  request.setProperties(struct(properties));
  request.setPreview(preview);
  return ask(client.create as Unary<pb.CreateRequest, pb.CreateResponse>, request);
}
const outputsOf = (response: { getProperties(): Struct | undefined }): Record<string, unknown> =>
  (response.getProperties()?.toJavaScript() ?? {}) as Record<string, unknown>;

describe("the plugin", () => {
  it("shakes hands, says its version and names its resources", async () => {
    const hello = new pb.ProviderHandshakeRequest();
    await ask(client.handshake as Unary<pb.ProviderHandshakeRequest, pb.ProviderHandshakeResponse>, hello);
    const info = await ask(client.getPluginInfo as Unary<empty.Empty, { getVersion(): string }>, new empty.Empty());
    const { version } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as { version: string };
    expect(info.getVersion()).toBe(version);
    const schema = await ask(
      client.getSchema as Unary<pb.GetSchemaRequest, pb.GetSchemaResponse>,
      new pb.GetSchemaRequest(),
    );
    expect(Object.keys(JSON.parse(schema.getSchema()).resources).toSorted()).toEqual(
      ["Budget", "InventoryFile", "MachineNode", "PracticeNetwork", "ProcessNode"].map(
        (name) => `gradientlab:index:${name}`,
      ),
    );
    const configured = await ask(
      client.configure as Unary<pb.ConfigureRequest, pb.ConfigureResponse>,
      new pb.ConfigureRequest(),
    );
    expect(configured.getSupportspreview()).toBe(true);
  });

  it("refuses inputs of the wrong shape, naming the property, and takes what a preview does not know", async () => {
    expect(
      failures(await check(nodeUrn, { node: { ...node, power: "maybe", everySeconds: 0, colour: "red" } })),
    ).toEqual([
      expect.stringMatching(/^node: home\/0\.node\.power is "maybe"\. /),
      expect.stringMatching(/^node: home\/0\.node\.everySeconds is 0\. /),
      expect.stringMatching(/^node: home\/0\.node\.colour is not a known field\. /),
    ]);
    expect(failures(await check(nodeUrn, { node: { ...node, key: "../../etc" } }))).toEqual([
      `node: home/0.node.key is "../../etc". must be <group>/<slot>.`,
    ]);
    const service = { origin: unknownValue, extensionVersion: unknownValue };
    expect(failures(await check(nodeUrn, { node, service }))).toEqual([]);
    expect(failures(await check(inventoryUrn, { ...empties, inventory: unknownValue }))).toEqual([]);
    expect(failures(await check(inventoryUrn, { groups: [] }))).toHaveLength(2);
  });

  it("says that a renamed group is another group, and only then", async () => {
    const after = { groups: { house: "2 × pulse" }, inventory: inventory() };
    await check(inventoryUrn, after, { groups: { home: "2 × pulse" }, inventory: inventory() });
    await check(inventoryUrn, after, { groups: { house: "3 × pulse" }, inventory: inventory() });
    await check(inventoryUrn, after);
    expect(said).toEqual([expect.stringMatching(/^The group home is gone from the config and house is new/)]);
  });

  it("changes a node in place, but replaces it, after its deletion, for another workload or network", async () => {
    const change = (over: object): Promise<pb.DiffResponse.AsObject> =>
      diff(nodeUrn, { node }, { node: { ...node, ...over } });
    expect((await change({})).changes).toBe(DiffChanges.DIFF_NONE);
    for (const over of [
      { power: "off" },
      { boot: "{}" },
      { everySeconds: 5 },
      { revision: { machine: 1, software: 2 } },
      { revision: { machine: 2, software: 1 } },
    ]) {
      const { changes, replacesList, diffsList } = await change(over);
      expect([changes, replacesList]).toEqual([DiffChanges.DIFF_SOME, []]);
      expect(diffsList).toEqual([`node.${Object.keys(over)[0]}`]);
    }
    for (const over of [{ workload: "sentry" }, { network: "practice" }])
      expect(await change(over)).toMatchObject({
        replacesList: [`node.${Object.keys(over)[0]}`],
        deletebeforereplace: true,
      });
    const served = { node, service: { origin: "http://127.0.0.1:1", extensionVersion: "1.0.0" } };
    const newer = { node, service: { ...served.service, extensionVersion: "1.1.0" } };
    expect(await diff(nodeUrn, served, newer)).toMatchObject({ replacesList: [], diffsList: ["service"] });
  });

  it("makes nothing in a preview and leaves unknown what only a machine can tell", async () => {
    const made = await create(nodeUrn, { node }, true);
    expect([made.getId(), outputsOf(made)]).toEqual(["", { node, machineId: unknownValue, reach: unknownValue }]);
    expect(outputsOf(await create(inventoryUrn, empties, true))).toEqual({ ...empties, sha256: unknownValue });
    expect(readdirSync(home)).toEqual([]);
  });

  it("writes the inventory, sees that it is gone or another one, and ends with an empty one", async () => {
    const made = await create(inventoryUrn, empties, false);
    const read = async (): Promise<string> => {
      const request = new pb.ReadRequest();
      request.setUrn(inventoryUrn);
      request.setId(made.getId());
      request.setInputs(struct(empties));
      request.setProperties(struct(outputsOf(made)));
      return (await ask(client.read as Unary<pb.ReadRequest, pb.ReadResponse>, request)).getId();
    };
    expect(await read()).toBe(made.getId());
    rmSync(join(home, "inventory.json"));
    expect(await read()).toBe("");
    const request = new pb.DeleteRequest();
    request.setUrn(inventoryUrn);
    request.setId(made.getId());
    request.setOldInputs(struct(empties));
    request.setProperties(struct(outputsOf(made)));
    await ask(client.delete as Unary<pb.DeleteRequest, empty.Empty>, request);
    expect(JSON.parse(readFileSync(join(home, "inventory.json"), "utf8"))).toMatchObject({
      schema: 1,
      inventory: { stack: "dev", nodes: [] },
    });
    expect(readdirSync(home)).toEqual(["inventory.json"]);
  });

  it("begins nothing after a cancel", async () => {
    await ask(client.cancel as Unary<empty.Empty, empty.Empty>, new empty.Empty());
    await expect(create(inventoryUrn, empties, false)).rejects.toThrow(
      "was cancelled before this was begun. Run it again.",
    );
    expect(readdirSync(home)).toEqual([]);
  });

  it("names what it has where it is asked for a resource that it does not have", async () => {
    await expect(create(urn("gradientlab:index:Balloon", "b"), {}, false)).rejects.toThrow(
      /has no resource gradientlab:index:Balloon; it has .*ProcessNode.*\. Compile program and plugin from one checkout/,
    );
  });

  it("fails with a sentence, not a stack, where the home folder cannot be written to", async () => {
    mkdirSync(join(home, "inventory.json"));
    await expect(create(inventoryUrn, empties, false)).rejects.toThrow(
      /EISDIR: [^\n]+inventory\.json'\. Mend what it names and run it again\.$/,
    );
  });

  it("ends by itself when the engine's end of its input closes", async () => {
    const ended = new Promise((resolve) => plugin.once("close", resolve));
    plugin.stdin?.end();
    expect(await ended).toBe(0);
  });
});
