import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import swagger from "@fastify/swagger";
import { type FastifyError, type FastifyInstance, fastify } from "fastify";
import { z } from "zod";
import { BadInput, quoted } from "../../infra/problem.ts";
import { type Log, sentenceOf } from "../log.ts";
import { ArchiveUnreadable } from "../store/archive/archives.ts";
import { contentSecurityPolicy } from "../web/policy.ts";
import { hostAllowed } from "./hosts.ts";
import { metricsType } from "./metrics.ts";
import { ApiProblem, problemDetails } from "./problem.ts";
import { type RouteDependencies, serveRoutes } from "./routes.ts";
import { type ChangeBell, serveStream } from "./stream.ts";
import { ProblemDetails, Ready } from "./types.ts";

/** What the server is made of and where it listens. */
export interface ServerDependencies extends RouteDependencies {
  readonly host: string;
  readonly webRoot: string | null;
  readonly bell: ChangeBell;
  readonly log: Log;
  /** Returns what is still missing before the collector does its work; nothing when it does. */
  readonly waiting: () => Promise<readonly string[]>;
  /** Returns what `/metrics` answers. */
  readonly metrics: () => Promise<string>;
}

const version = "1";

/** Returns the server with all its routes, not listening yet. */
export async function buildServer(dependencies: ServerDependencies): Promise<FastifyInstance> {
  const { host, webRoot, bell, log, database, waiting, metrics } = dependencies;
  const app = fastify({ logger: false, forceCloseConnections: true, exposeHeadRoutes: true });
  app.setValidatorCompiler(({ schema, httpPart }) => (data) => {
    const result = (schema as z.ZodType).safeParse(data);
    return result.success ? { value: result.data } : { error: refusal(result.error, httpPart) };
  });
  // Answers are built from the very types of their schemas; contract tests hold them to it.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));

  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-content-type-options", "nosniff").header("referrer-policy", "no-referrer");
    if (hostAllowed(request.headers.host, host)) return;
    throw new ApiProblem(
      421,
      "foreign-host",
      `The request names the host ${quoted(request.headers.host)}, which is not this collector.`,
      "Open it by its address, such as http://127.0.0.1 with its port.",
    );
  });
  app.setErrorHandler((error: FastifyError | ApiProblem | ArchiveUnreadable, request, reply) => {
    const problem = problemOf(error);
    if (problem.status >= 500 || problem.status === 410)
      log("error", `${request.method} ${request.url.split("?")[0]}: ${sentenceOf(error)}`);
    return reply.code(problem.status).type("application/problem+json").send(problemDetails(problem));
  });
  app.setNotFoundHandler((request, reply) => {
    const problem = new ApiProblem(
      404,
      "not-found",
      `There is no ${request.url.split("?")[0]}.`,
      "See /api/v1/openapi.json.",
    );
    return reply.code(404).type("application/problem+json").send(problemDetails(problem));
  });

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "GradientLab collector",
        version,
        description:
          "What the nodes of a fleet did and were paid. Instants are UTC, ranges half-open, amounts integers in their smallest unit as text.",
      },
    },
    transform: ({ schema, url }) => ({ schema: jsonSchemas(schema as Schemas | undefined), url }),
  });
  await app.register(
    async (api) => {
      serveRoutes(api, dependencies);
      serveStream(api, database, bell, log);
      api.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
    },
    { prefix: "/api/v1" },
  );
  app.get("/healthz", { schema: { summary: "Whether the process runs.", response: { 200: Health } } }, async () => ({
    alive: true,
  }));
  app.get(
    "/readyz",
    { schema: { summary: "Whether the collector does its work.", response: { 200: Ready, 503: Ready } } },
    async (_request, reply) => {
      const missing = await waiting();
      return reply.code(missing.length === 0 ? 200 : 503).send({ ready: missing.length === 0, waiting: [...missing] });
    },
  );
  app.get("/metrics", { schema: { hide: true } }, async (_request, reply) =>
    reply.type(metricsType).send(await metrics()),
  );
  if (webRoot !== null) await servePage(app, webRoot);
  return app;
}

const Health = z.object({ alive: z.boolean() });

async function servePage(app: FastifyInstance, webRoot: string): Promise<void> {
  await app.register(fastifyStatic, {
    root: webRoot,
    index: "index.html",
    setHeaders: (reply, path) => {
      reply.header("content-security-policy", contentSecurityPolicy);
      reply.header("cross-origin-opener-policy", "same-origin");
      // Names under assets/ carry a hash of what they hold.
      const lasting = path.startsWith(join(webRoot, "assets"));
      reply.header("cache-control", lasting ? "public, max-age=31536000, immutable" : "no-cache");
    },
  });
}

function refusal(error: z.ZodError, part: string | undefined): ApiProblem {
  const sentences = error.issues.map((issue) =>
    issue.code === "unrecognized_keys"
      ? `${issue.keys.join(", ")} is not known here`
      : `${issue.path.join(".")}: ${issue.message}`,
  );
  const code = part === "params" ? "bad-path" : part === "body" ? "bad-body" : "bad-query";
  return new ApiProblem(400, code, `${sentences.join("; ")}.`, "See /api/v1/openapi.json.");
}

function problemOf(error: FastifyError | ApiProblem | ArchiveUnreadable): ApiProblem {
  if (error instanceof ApiProblem) return error;
  if (error instanceof ArchiveUnreadable) return new ApiProblem(410, error.code, error.message, error.fix);
  const status = error.statusCode ?? 500;
  return status >= 500
    ? new ApiProblem(500, "internal", "The collector could not answer.", "Look into the collector's log.")
    : new ApiProblem(status, "bad-request", `${error.message}.`, "See /api/v1/openapi.json.");
}

interface Schemas {
  readonly summary?: string;
  readonly hide?: boolean;
  readonly params?: z.ZodType;
  readonly querystring?: z.ZodType;
  readonly response?: Readonly<Record<string, z.ZodType>>;
}

function jsonSchemas(schemas: Schemas | undefined) {
  if (schemas === undefined) return {};
  const { summary, hide, params, querystring, response } = schemas;
  const described = {
    ...response,
    ...(hide === true ? {} : { default: ProblemDetails }),
  } as Readonly<Record<string, z.ZodType>>;
  return {
    ...(summary === undefined ? {} : { summary }),
    ...(hide === undefined ? {} : { hide }),
    ...(params === undefined ? {} : { params: jsonSchema(params, "input") }),
    ...(querystring === undefined ? {} : { querystring: jsonSchema(querystring, "input") }),
    response: Object.fromEntries(
      Object.entries(described).map(([status, schema]) => [status, jsonSchema(schema, "output")]),
    ),
  };
}

function jsonSchema(schema: z.ZodType, io: "input" | "output") {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

/** Starts to listen and returns the URL. @throws BadInput naming PORT or HOST when they cannot be had. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const taken = code === "EADDRINUSE";
    if (!taken && code !== "EACCES" && code !== "EADDRNOTAVAIL") throw error;
    const path = code === "EADDRNOTAVAIL" ? "HOST" : "PORT";
    const value = path === "HOST" ? host : String(port);
    throw new BadInput("The collector's environment", [
      {
        path,
        value,
        message: taken
          ? `PORT is ${port}, and another program listens there already.`
          : code === "EACCES"
            ? `PORT is ${port}, where this account may not listen.`
            : `HOST is ${host}, which is no address of this machine.`,
        fix:
          path === "PORT"
            ? "Set PORT to a free port, or stop that program."
            : "Set HOST to an address of this machine.",
      },
    ]);
  }
  const address = app.server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return `http://${host.includes(":") ? `[${host}]` : host}:${bound}`;
}
