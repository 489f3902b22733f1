import grpc from "@grpc/grpc-js";
import pluginPb from "@pulumi/pulumi/proto/plugin_pb.js";
import pb from "@pulumi/pulumi/proto/provider_pb.js";
import statusPb from "@pulumi/pulumi/proto/status_pb.js";
import { Any } from "google-protobuf/google/protobuf/any_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Properties } from "../plugin/resource.ts";
import { failureSaying, listen, methodsFailingAs, plain } from "../plugin/transport.ts";
import { type Cloud, CloudRefusal, type Wanted } from "./cloud.ts";

/** Serves a cloud to the engine as the plugin that it stands for, at that plugin's version. */
export function serveCloud(cloud: Cloud, version: string): void {
  const method = methodsFailingAs((error) => {
    if (!(error instanceof CloudRefusal))
      return failureSaying(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return error.made === undefined ? failureSaying(error.message) : initFailed(error.message, error.made);
  });
  const wantedOf = (urn: string, inputs: Properties): Wanted => {
    const [, , types = "", ...name] = urn.split("::");
    return { urn, type: types.split("$").at(-1) ?? "", name: name.join("::"), inputs };
  };
  const passesOn = method((request: pb.CheckRequest) => {
    const response = new pb.CheckResponse();
    response.setInputs(request.getNews());
    return response;
  });

  listen(
    {
      handshake: method(() => new pb.ProviderHandshakeResponse()),
      attach: method(() => new empty.Empty()),
      getPluginInfo: method(() => {
        const info = new pluginPb.PluginInfo();
        info.setVersion(version);
        return info;
      }),
      getSchema: method(() => {
        const response = new pb.GetSchemaResponse();
        response.setSchema(JSON.stringify({ name: cloud.plugin, version }));
        return response;
      }),
      checkConfig: passesOn,
      diffConfig: method((request: pb.DiffRequest) => {
        const response = new pb.DiffResponse();
        const same = JSON.stringify(plain(request.getOldInputs())) === JSON.stringify(plain(request.getNews()));
        response.setChanges(same ? pb.DiffResponse.DiffChanges.DIFF_NONE : pb.DiffResponse.DiffChanges.DIFF_SOME);
        return response;
      }),
      configure: method((request: pb.ConfigureRequest) => {
        cloud.configure(plain(request.getArgs()));
        const response = new pb.ConfigureResponse();
        response.setSupportspreview(true);
        return response;
      }),
      check: method((request: pb.CheckRequest) => {
        const olds = request.getOlds();
        const wanted = wantedOf(request.getUrn(), plain(request.getNews()));
        const { inputs, mistakes } = cloud.check(wanted, olds === undefined ? undefined : plain(olds));
        const response = new pb.CheckResponse();
        response.setInputs(struct(inputs));
        response.setFailuresList(
          mistakes.map(({ property, reason }) => {
            const failure = new pb.CheckFailure();
            failure.setProperty(property);
            failure.setReason(reason);
            return failure;
          }),
        );
        return response;
      }),
      diff: method((request: pb.DiffRequest) => {
        const { type } = wantedOf(request.getUrn(), {});
        const { paths, deleteBeforeReplace } = cloud.difference(
          type,
          plain(request.getOldInputs()),
          plain(request.getNews()),
        );
        const response = new pb.DiffResponse();
        const { DIFF_SOME, DIFF_NONE } = pb.DiffResponse.DiffChanges;
        response.setChanges(paths.size > 0 ? DIFF_SOME : DIFF_NONE);
        response.setHasdetaileddiff(true);
        const detail = response.getDetaileddiffMap();
        const top = (path: string): string => path.split(/[.[]/)[0] ?? path;
        for (const [path, { replaces, kind }] of paths) {
          const entry = new pb.PropertyDiff();
          entry.setKind(kinds[kind][replaces ? 1 : 0]);
          entry.setInputdiff(true);
          detail.set(path, entry);
        }
        response.setDiffsList([...new Set([...paths.keys()].map(top))]);
        response.setReplacesList([
          ...new Set([...paths].flatMap(([path, { replaces }]) => (replaces ? [top(path)] : []))),
        ]);
        response.setDeletebeforereplace(deleteBeforeReplace);
        return response;
      }),
      create: method(async (request: pb.CreateRequest) => {
        const wanted = wantedOf(request.getUrn(), plain(request.getProperties()));
        const response = new pb.CreateResponse();
        if (request.getPreview()) {
          response.setProperties(struct(cloud.foreseen(wanted, {})));
          return response;
        }
        const { id, outputs } = await cloud.create(wanted);
        response.setId(id);
        response.setProperties(struct(outputs));
        return response;
      }),
      read: method(async (request: pb.ReadRequest) => {
        const wanted = wantedOf(request.getUrn(), plain(request.getInputs()));
        const found = await cloud.read(wanted, request.getId(), plain(request.getProperties()));
        const response = new pb.ReadResponse();
        if (found === null) return response;
        response.setId(found.id);
        response.setInputs(struct(found.inputs));
        response.setProperties(struct(found.outputs));
        return response;
      }),
      update: method(async (request: pb.UpdateRequest) => {
        const wanted = wantedOf(request.getUrn(), plain(request.getNews()));
        const response = new pb.UpdateResponse();
        const outputs = request.getPreview()
          ? cloud.foreseen(wanted, plain(request.getOlds()))
          : (await cloud.update(wanted, request.getId(), plain(request.getOlds()))).outputs;
        response.setProperties(struct(outputs));
        return response;
      }),
      delete: method(async (request: pb.DeleteRequest) => {
        const inputs = plain(request.getOldInputs() ?? request.getProperties());
        await cloud.delete(wantedOf(request.getUrn(), inputs), request.getId(), plain(request.getProperties()));
        return new empty.Empty();
      }),
      invoke: method(async (request: pb.InvokeRequest) => {
        const response = new pb.InvokeResponse();
        response.setReturn(struct(await cloud.invoke(request.getTok(), plain(request.getArgs()))));
        return response;
      }),
      cancel: method(() => new empty.Empty()),
    },
    () => process.exit(0),
  );
}

const { Kind } = pb.PropertyDiff;
/** The kinds of a difference, in place and by another resource. */
const kinds = {
  add: [Kind.ADD, Kind.ADD_REPLACE],
  delete: [Kind.DELETE, Kind.DELETE_REPLACE],
  update: [Kind.UPDATE, Kind.UPDATE_REPLACE],
} as const;

function struct(value: Properties): Struct {
  // By JSON, because a message knows no undefined.
  return Struct.fromJavaScript(JSON.parse(JSON.stringify(value)));
}

/** The failure of a resource that is there nevertheless, as the engine's protocol carries it: it is kept in the state. */
function initFailed(
  text: string,
  made: { readonly id: string; readonly inputs: Properties; readonly outputs: Properties },
): Partial<grpc.ServiceError> {
  const detail = new pb.ErrorResourceInitFailed();
  detail.setId(made.id);
  detail.setInputs(struct(made.inputs));
  detail.setProperties(struct(made.outputs));
  detail.setReasonsList([text]);
  const any = new Any();
  any.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new statusPb.Status();
  status.setCode(grpc.status.UNKNOWN);
  status.setMessage(text);
  status.addDetails(any);
  const metadata = new grpc.Metadata();
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details: text, metadata };
}
