import enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import pluginPb from "@pulumi/pulumi/proto/plugin_pb.js";
import pb from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { z } from "zod";
import { BadInput, ExplainedError, problemsOf } from "../problem.ts";
import { type Around, type Properties, type Resource, unknownValue } from "./resource.ts";
import { engineAt, failureSaying, listen, methodsFailingAs, plain } from "./transport.ts";

/** What the plugin serves, and to whom. */
export interface Service {
  readonly resources: ReadonlyMap<string, Resource<never>>;
  readonly home: string;
  /** The engine's address, for sentences to people; null where there is no engine. */
  readonly engine: string | null;
}

const version = "0.1.0";
/**
 * Serves the engine's provider protocol on a free loopback port and prints the port, as the engine expects. A preview
 * changes nothing. After `Cancel` what is under way is finished and nothing new is begun, so that no resource is left
 * half made.
 */
export function serve({ resources, home, engine: address }: Service): void {
  let cancelled = false;
  let engine = address === null ? null : engineAt(address);

  const log = (severity: enginePb.LogSeverity, urn: string, text: string): void => {
    if (engine === null) return;
    const message = new enginePb.LogRequest();
    message.setSeverity(severity);
    message.setMessage(text);
    message.setUrn(urn);
    engine.log(message, (error) => {
      // The engine may be gone by now, and then nobody is there to read it.
      if (error !== null) process.stderr.write(`${text}\n`);
    });
  };
  const around = (urn: string): Around => ({
    home,
    say: (text) => log(enginePb.LogSeverity.WARNING, urn, text),
    show: (text) => log(enginePb.LogSeverity.INFO, urn, text),
    now: () => new Date(),
  });
  const resourceOf = (urn: string): Resource<never> => {
    const type = urn.split("::")[2]?.split("$").at(-1) ?? "";
    const resource = resources.get(type);
    if (resource === undefined)
      throw new ExplainedError(
        "unknown-type",
        `The plugin gradientlab has no resource ${type}; it has ${[...resources.keys()].join(", ")}.`,
        "Compile program and plugin from one checkout: npm start does.",
      );
    return resource;
  };
  let changing = 0;
  let ending = false;
  /** Does what changes something: not at all after a cancel, and to its end when the engine is gone meanwhile. */
  const change = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (cancelled)
      throw new ExplainedError("cancelled", "The run was cancelled before this was begun.", "Run it again.");
    changing++;
    try {
      return await work();
    } finally {
      changing--;
      if (ending && changing === 0) setImmediate(() => process.exit(0));
    }
  };
  const end = (): void => {
    cancelled = true;
    ending = true;
    if (changing === 0) process.exit(0);
  };

  const method = methodsFailingAs((error) => failureSaying(sentence(error)));

  const methods = {
    handshake: method((request: pb.ProviderHandshakeRequest) => {
      engine ??= engineAt(request.getEngineAddress());
      return new pb.ProviderHandshakeResponse();
    }),
    attach: method((request: pluginPb.PluginAttach) => {
      engine = engineAt(request.getAddress());
      return new empty.Empty();
    }),
    getPluginInfo: method(() => {
      const info = new pluginPb.PluginInfo();
      info.setVersion(version);
      return info;
    }),
    getSchema: method(() => {
      const response = new pb.GetSchemaResponse();
      const types = Object.fromEntries([...resources.keys()].map((type) => [type, {}]));
      response.setSchema(JSON.stringify({ name: "gradientlab", version, resources: types }));
      return response;
    }),
    checkConfig: method((request: pb.CheckRequest) => {
      const response = new pb.CheckResponse();
      response.setInputs(request.getNews());
      return response;
    }),
    diffConfig: method(() => new pb.DiffResponse()),
    configure: method(() => {
      const response = new pb.ConfigureResponse();
      response.setSupportspreview(true);
      return response;
    }),
    check: method((request: pb.CheckRequest) => {
      const resource = resourceOf(request.getUrn());
      const news = plain(request.getNews());
      const olds = request.getOlds();
      const result = (resource.inputs as z.ZodType<Properties>).safeParse(news);
      const response = new pb.CheckResponse();
      if (!result.success) {
        const name = request.getUrn().split("::").at(-1) ?? "";
        response.setFailuresList(
          problemsOf(result.error, news, name).map(({ path, message, fix }) => {
            const failure = new pb.CheckFailure();
            failure.setProperty(path.split(".")[1] ?? "");
            failure.setReason(`${message} ${fix}`);
            return failure;
          }),
        );
        return response;
      }
      const before = olds === undefined ? undefined : plain(olds);
      const about = around(request.getUrn());
      resource.notice?.(before, result.data as never, about);
      const refusals = resource.refuse?.(before, result.data as never, about) ?? [];
      response.setFailuresList(
        refusals.map(({ message, fix }) => {
          const failure = new pb.CheckFailure();
          failure.setReason(`${message} ${fix}`);
          return failure;
        }),
      );
      const kept = resource.kept?.(before, result.data as never, about) ?? result.data;
      response.setInputs(Struct.fromJavaScript(kept as never));
      return response;
    }),
    diff: method((request: pb.DiffRequest) => {
      const resource = resourceOf(request.getUrn());
      const { updates, replaces, deletedLast } = resource.difference(
        plain(request.getOldInputs()),
        plain(request.getNews()) as never,
      );
      const response = new pb.DiffResponse();
      const some = updates.length + replaces.length > 0;
      response.setChanges(some ? pb.DiffResponse.DiffChanges.DIFF_SOME : pb.DiffResponse.DiffChanges.DIFF_NONE);
      response.setDiffsList([...new Set([...updates, ...replaces])]);
      response.setReplacesList([...replaces]);
      response.setDeletebeforereplace(replaces.length > 0 && deletedLast === undefined);
      return response;
    }),
    create: method(async (request: pb.CreateRequest) => {
      const resource = resourceOf(request.getUrn());
      const wanted = plain(request.getProperties());
      const response = new pb.CreateResponse();
      if (request.getPreview()) {
        const later = Object.fromEntries(resource.outputs.map((name) => [name, unknownValue]));
        response.setProperties(Struct.fromJavaScript({ ...wanted, ...later } as never));
        return response;
      }
      const { id, outputs } = await change(() => resource.create(wanted as never, around(request.getUrn())));
      response.setId(id);
      response.setProperties(Struct.fromJavaScript({ ...wanted, ...outputs } as never));
      return response;
    }),
    read: method(async (request: pb.ReadRequest) => {
      const resource = resourceOf(request.getUrn());
      const inputs = plain(request.getInputs());
      const state = plain(request.getProperties());
      const response = new pb.ReadResponse();
      if (Object.keys({ ...inputs, ...state }).length === 0)
        throw new ExplainedError(
          "no-import",
          `${request.getUrn().split("::").at(-1)} cannot be imported.`,
          "Declare it in the stack's config: its folder, where it is still there, is adopted.",
        );
      const outputs = await resource.read(request.getId(), inputs, state, around(request.getUrn()));
      if (outputs === null) return response;
      response.setId(request.getId());
      response.setInputs(Struct.fromJavaScript(inputs as never));
      response.setProperties(Struct.fromJavaScript({ ...inputs, ...outputs } as never));
      return response;
    }),
    update: method(async (request: pb.UpdateRequest) => {
      const resource = resourceOf(request.getUrn());
      const wanted = plain(request.getNews());
      const response = new pb.UpdateResponse();
      if (request.getPreview()) {
        const state = plain(request.getOlds());
        const kept = Object.fromEntries(resource.outputs.map((name) => [name, state[name] ?? unknownValue]));
        response.setProperties(Struct.fromJavaScript({ ...wanted, ...kept } as never));
        return response;
      }
      const outputs = await change(() => resource.update(request.getId(), wanted as never, around(request.getUrn())));
      response.setProperties(Struct.fromJavaScript({ ...wanted, ...outputs } as never));
      return response;
    }),
    delete: method(async (request: pb.DeleteRequest) => {
      const inputs = plain(request.getOldInputs() ?? request.getProperties());
      const resource = resourceOf(request.getUrn());
      await change(() => resource.delete(request.getId(), inputs, around(request.getUrn())));
      return new empty.Empty();
    }),
    cancel: method(() => {
      cancelled = true;
      return new empty.Empty();
    }),
  };

  // The engine ends its plugins by SIGINT and kills them five seconds later. One that dies itself closes our input: what
  // is under way is finished then, so that the next run finds nodes whole.
  listen(methods, end);
}

function sentence(error: unknown): string {
  if (error instanceof BadInput) return error.message;
  if (error instanceof ExplainedError) return `${error.message} ${error.fix}`;
  if (!(error instanceof Error)) return String(error);
  // What the operating system refused is no mistake of the program's: its path says more than our stack.
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? (error.stack ?? error.message) : `${error.message}. ${systemFix(code)}`;
}

function systemFix(code: string | undefined): string {
  if (code === "ENOSPC" || code === "EDQUOT") return "Free some space on that disk and run it again.";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "Let this user write there and run it again.";
  return "Mend what it names and run it again.";
}
