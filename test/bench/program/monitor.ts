import { createRequire } from "node:module";
import type * as grpcTypes from "@grpc/grpc-js";

const require = createRequire(import.meta.url);
const grpc = require("@grpc/grpc-js") as typeof grpcTypes;
const services = {
  monitor: require("@pulumi/pulumi/proto/resource_grpc_pb").ResourceMonitorService as grpcTypes.ServiceDefinition,
  engine: require("@pulumi/pulumi/proto/engine_grpc_pb").EngineService as grpcTypes.ServiceDefinition,
};
const resource = require("@pulumi/pulumi/proto/resource_pb");
const engine = require("@pulumi/pulumi/proto/engine_pb");
const provider = require("@pulumi/pulumi/proto/provider_pb");
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
  close(): void;
}

/**
 * Starts the engine's side of the Pulumi protocol on a free port: each registration is answered at once with the inputs
 * and `outputs` as the resource's properties. Errors that the program logs are written to standard error.
 */
export async function startInstantEngine(outputs: Record<string, unknown>): Promise<InstantEngine> {
  let count = 0;
  let root = "";
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
      const response = new resource.RegisterResourceResponse();
      response.setUrn(urnOf(type, request.getName?.()));
      if (request.getCustom?.()) response.setId(`id-${request.getName?.()}`);
      const inputs = (request.getObject?.() as { toJavaScript(): Record<string, unknown> } | undefined)?.toJavaScript();
      response.setObject(struct.Struct.fromJavaScript({ ...inputs, ...outputs }));
      answer(null, response);
    },
    registerResourceOutputs: nothing,
    registerStackTransform: nothing,
    registerStackInvokeTransform: nothing,
    signalAndWaitForShutdown: nothing,
    invoke(_: Call, answer: Answer) {
      answer(null, new provider.InvokeResponse());
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
    close: () => server.forceShutdown(),
  };
}
