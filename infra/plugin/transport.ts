import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Properties } from "./resource.ts";

/** How a plugin and the engine talk: gRPC on a loopback port of the plugin's, which it prints on its standard output. */

const limits = {
  "grpc.max_receive_message_length": 400 * 1024 * 1024,
  "grpc.max_send_message_length": 400 * 1024 * 1024,
};

interface Call<Request> {
  readonly request: Request;
}
type Answer<Response> = (error: Partial<grpc.ServiceError> | null, response?: Response) => void;

/** A gRPC method as the server takes it. */
type Method<Request, Response> = (call: Call<Request>, answer: Answer<Response>) => void;

/** Returns what makes a gRPC method of a function: what the function throws is answered as `failure` tells it. */
export function methodsFailingAs(failure: (error: unknown) => Partial<grpc.ServiceError>) {
  return <Request, Response>(work: (request: Request) => Response | Promise<Response>): Method<Request, Response> =>
    ({ request }, answer) => {
      Promise.resolve()
        .then(() => work(request))
        .then(
          (response) => answer(null, response),
          (error: unknown) => answer(failure(error)),
        );
    };
}

/** Returns the failure that shows `details` beside the resource. */
export function failureSaying(details: string): Partial<grpc.ServiceError> {
  return { code: grpc.status.UNKNOWN, details };
}

/**
 * Serves the engine's provider protocol on a free loopback port and prints the port, as the engine expects. `end` is
 * called when the engine tells the plugin to end, by SIGINT or SIGTERM, or is gone itself, by closing our input.
 */
export function listen(methods: object, end: () => void): void {
  const server = new grpc.Server(limits);
  server.addService(providerGrpc.ResourceProviderService, methods as grpc.UntypedServiceImplementation);
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) throw error;
    process.stdout.write(`${port}\n`);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, end);
  process.stdin.on("close", end).resume();
}

/** Returns a client of the engine at its address, for sentences to people. */
export function engineAt(address: string): engineGrpc.EngineClient {
  return new engineGrpc.EngineClient(address, grpc.credentials.createInsecure());
}

/** Returns the values of a message; none where it has none. */
export function plain(value: Struct | undefined): Properties {
  return (value?.toJavaScript() ?? {}) as Properties;
}
