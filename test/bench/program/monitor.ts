import { createRequire } from "node:module";
import type * as grpcTypes from "@grpc/grpc-js";
import { cloudAnswers } from "../../harness/cloud-answers.ts";

const require = createRequire(import.meta.url);
const grpc = require("@grpc/grpc-js") as typeof grpcTypes;
const services = {
  monitor: require("@pulumi/pulumi/proto/resource_grpc_pb").ResourceMonitorService as grpcTypes.ServiceDefinition,
  engine: require("@pulumi/pulumi/proto/engine_grpc_pb").EngineService as grpcTypes.ServiceDefinition,
};
const resource = require("@pulumi/pulumi/proto/resource_pb");
const engine = require("@pulumi/pulumi/proto/engine_pb");
const struct = require("google-protobuf/google/protobuf/struct_pb");
const empty = require("google-protobuf/google/protobuf/empty_pb");

interface Call {
  readonly request: Record<string, (...args: unknown[]) => unknown>;
}
type Answer = (error: Error | null, value: unknown) => void;

/** An engine that accepts every resource at once, so that what is measured is the program alone. */
export interface InstantEngine {
  readonly address: string;
  /** How many resources the program registered since the last call, the stack itself not counted. */
  takeCount(): number;
  /** Keeps the resources of what `run` runs and returns them in their order; the stack itself is not among them. */
  record(run: () => Promise<unknown>): Promise<readonly Registered[]>;
  close(): void;
}

/** A resource as a program declared it, with the places in the list of its parent and its provider. */
export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly custom: boolean;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly parent: number | null;
  readonly provider: number | null;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Starts the engine's side of the Pulumi protocol on a free port: each registration is answered at once with a name, the
 * inputs and `outputs` as the resource's properties, each question of a cloud as `cloudAnswers` say. Errors that the
 * program logs are written to standard error.
 */
export async function startInstantEngine(outputs: Record<string, unknown>): Promise<InstantEngine> {
  let count = 0;
  let root = "";
  let recording: Registered[] | null = null;
  const places = new Map<string, number>();
  const urnOf = (type: unknown, name: unknown): string => `urn:pulumi:bench::gradientlab::${type}::${name}`;
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
  const nothing = (_: Call, answer: Answer): void => answer(null, new empty.Empty());

  server.addService(services.monitor, {
    supportsFeature(_: Call, answer: Answer) {
      const response = new resource.SupportsFeatureResponse();
      response.setHassupport(true);
      answer(null, response);
    },
    registerResource({ request }: Call, answer: Answer) {
      const type = request.getType?.();
      if (type !== "pulumi:pulumi:Stack") count++;
      if (type !== "pulumi:pulumi:Stack" && recording !== null) recording.push(registeredOf(request, places));
      if (recording !== null) places.set(urnOf(type, request.getName?.()), places.size - 1);
      const response = new resource.RegisterResourceResponse();
      response.setUrn(urnOf(type, request.getName?.()));
      if (request.getCustom?.()) response.setId(`id-${request.getName?.()}`);
      const inputs = (request.getObject?.() as { toJavaScript(): Record<string, unknown> } | undefined)?.toJavaScript();
      response.setObject(struct.Struct.fromJavaScript({ name: request.getName?.(), ...inputs, ...outputs }));
      answer(null, response);
    },
    registerResourceOutputs: nothing,
    registerErrorHook: nothing,
    registerStackTransform: nothing,
    registerStackInvokeTransform: nothing,
    signalAndWaitForShutdown: nothing,
    invoke({ request }: Call, answer: Answer) {
      const response = new resource.ResourceInvokeResponse();
      const ask = cloudAnswers[String(request.getTok?.())];
      const inputs = (request.getArgs?.() as { toJavaScript(): Record<string, unknown> } | undefined)?.toJavaScript();
      if (ask !== undefined && inputs !== undefined) response.setReturn(struct.Struct.fromJavaScript(ask(inputs)));
      answer(null, response);
    },
  } as unknown as grpcTypes.UntypedServiceImplementation);
  server.addService(services.engine, {
    log({ request }: Call, answer: Answer) {
      const severity = Number(request.getSeverity?.());
      if (severity >= 2) process.stderr.write(`${request.getMessage?.()}\n`);
      nothing({ request }, answer);
    },
    getRootResource(_: Call, answer: Answer) {
      const response = new engine.GetRootResourceResponse();
      response.setUrn(root);
      answer(null, response);
    },
    setRootResource({ request }: Call, answer: Answer) {
      root = String(request.getUrn?.());
      answer(null, new engine.SetRootResourceResponse());
    },
  } as unknown as grpcTypes.UntypedServiceImplementation);

  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    address: `127.0.0.1:${port}`,
    takeCount() {
      const taken = count;
      count = 0;
      return taken;
    },
    async record(run) {
      places.clear();
      const kept: Registered[] = [];
      recording = kept;
      await run();
      recording = null;
      return kept;
    },
    close: () => server.forceShutdown(),
  };
}

/** Returns a registration as data. Places count from the stack, which is registered first and stands before the list. */
function registeredOf(request: Call["request"], places: ReadonlyMap<string, number>): Registered {
  const placeOf = (urn: unknown): number | null => {
    const place = places.get(String(urn)) ?? -1;
    return place < 0 ? null : place;
  };
  const list = (value: unknown): readonly unknown[] | undefined =>
    Array.isArray(value) && value.length > 0 ? value : undefined;
  const trigger = request.getReplacementTrigger?.() as { toJavaScript(): unknown } | undefined;
  return {
    type: String(request.getType?.()),
    name: String(request.getName?.()),
    custom: Boolean(request.getCustom?.()),
    inputs: (request.getObject?.() as { toJavaScript(): Record<string, unknown> } | undefined)?.toJavaScript() ?? {},
    parent: placeOf(request.getParent?.()),
    provider: placeOf(String(request.getProvider?.()).split("::").slice(0, -1).join("::")),
    options: {
      ignoreChanges: list(request.getIgnorechangesList?.()),
      replaceOnChanges: list(request.getReplaceonchangesList?.()),
      replacementTrigger: trigger?.toJavaScript(),
      deleteBeforeReplace: request.getDeletebeforereplacedefined?.() ? true : undefined,
    },
  };
}
