import { mkdir, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { ExplainedError } from "../infra/problem.ts";
import { accountAndSecrets, signInOf } from "./account.ts";
import { adminPath, serveAdmin } from "./admin.ts";
import { serveApi } from "./api.ts";
import { type ClockAnchor, heartbeatSeconds, heartbeatTolerance, networkTime, withSpeed } from "./clock.ts";
import { builtExtension } from "./extension-build.ts";
import { ensureKey, packExtension, writeWhole } from "./extension-package.ts";
import { serveExtension } from "./extension-routes.ts";
import { askedVerdict, misbehaveOn } from "./misbehaviour.ts";
import { networkOn } from "./network.ts";
import { servePages } from "./pages.ts";
import { Refusal } from "./refusal.ts";
import type { ServiceInfo } from "./service-info.ts";
import { openState, type State } from "./state.ts";

export interface ServiceOptions {
  readonly directory: string;
  /** Absent: the speed of the last start, or 20 at the first. */
  readonly speed?: number;
  /** Absent: the port of the last start, or another free one when that is taken. */
  readonly port?: number;
  readonly host?: string;
  /** An address under which machines elsewhere reach the service: the extension may use it too. */
  readonly seenAs?: string;
  /** The built extension to pack. */
  readonly built?: string;
}

export interface RunningService {
  readonly info: ServiceInfo;
  /** Stops listening, closes the state and removes `service.json`. */
  stop(): Promise<void>;
}

const defaultSpeed = 20;

/**
 * Starts the practice network with its state in `directory` and returns when it listens and `service.json` says so.
 * Throws `practice-running` when one runs there already, `port-taken` when the port asked for is not free,
 * `extension-not-built` when there is no extension to pack.
 */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const directory = resolve(options.directory);
  const host = options.host ?? "127.0.0.1";
  const built = options.built ?? builtExtension;
  const keyFile = join(directory, "extension-key.pem");
  const infoFile = join(directory, "service.json");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const state = openState(join(directory, "network.sqlite"));
  const closing = new AbortController();
  try {
    // Gone while nothing listens, so that whoever waits for it never meets the last run's.
    await rm(infoFile, { force: true });
    await ensureKey(keyFile);
    const visible = host === "0.0.0.0" ? "127.0.0.1" : host;
    const extension = await packExtension({
      built,
      outDir: join(directory, "extension"),
      keyFile,
      hosts: [visible, ...(options.seenAs === undefined ? [] : [options.seenAs])].map((each) => `http://${each}/*`),
    });
    const realNow = Date.now;
    const anchor = anchorFor(state, options.speed, realNow());
    const now = clockOf(anchor, state.latestAt(), realNow);
    const { account, secrets } = accountAndSecrets(state, now());
    const app = serviceOn(state, { anchor, now, realNow, uid: account.uid, ...secrets, closing: closing.signal });
    const port = await listen(app, host, options.port, Number(state.setting("port") ?? 0));
    state.putSetting("port", String(port));
    const info: ServiceInfo = {
      schema: 1,
      origin: `http://${visible}:${port}`,
      label: "practice",
      speed: anchor.speed,
      heartbeatSeconds,
      account: { email: account.email, password: account.password },
      enrolCode: account.enrolCode,
      extension,
      adminToken: secrets.adminToken,
      pid: process.pid,
      startedAt: new Date(realNow()).toISOString(),
    };
    await writeWhole(infoFile, `${JSON.stringify(info, null, 2)}\n`);
    return {
      info,
      stop: async () => {
        closing.abort();
        await rm(infoFile, { force: true });
        await app.close();
        state.close();
      },
    };
  } catch (error) {
    state.close();
    throw error;
  }
}

function anchorFor(state: State, speed: number | undefined, realMs: number): ClockAnchor {
  const known = state.clockAnchor();
  if (known !== undefined && (speed === undefined || speed === known.speed)) return known;
  const anchor =
    known === undefined
      ? { realMs, networkMs: realMs, speed: speed ?? defaultSpeed }
      : withSpeed(known, realMs, speed ?? known.speed);
  state.putClockAnchor(anchor);
  return anchor;
}

/** Returns the network's clock. It stands still, rather than go back, while the machine's clock is behind. */
function clockOf(anchor: ClockAnchor, latestAt: number, realNow: () => number): () => number {
  let latest = latestAt;
  return () => {
    latest = Math.max(latest, networkTime(anchor, realNow()));
    return latest;
  };
}

function serviceOn(
  state: State,
  {
    anchor,
    now,
    realNow,
    uid,
    adminToken,
    signingSecret,
    closing,
  }: {
    readonly anchor: ClockAnchor;
    readonly now: () => number;
    readonly realNow: () => number;
    readonly uid: string;
    readonly adminToken: string;
    readonly signingSecret: string;
    readonly closing: AbortSignal;
  },
): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, bodyLimit: 64 * 1024 });
  const toleranceMs = heartbeatTolerance(anchor.speed);
  const asked = (clientid: string) => askedVerdict(state, clientid, realNow());
  const network = networkOn({ state, now, realNow, toleranceMs, asked });
  const signIn = signInOf(state, signingSecret, realNow);

  app.setErrorHandler<FastifyError | Refusal>((error, request, reply) => {
    const statusCode = error.statusCode ?? 500;
    if (statusCode >= 500 && !closing.aborted) console.error(`${request.method} ${request.url} failed:`, error);
    const code = error instanceof Refusal ? error.code : statusCode;
    return reply.code(statusCode).send({
      code,
      data: null,
      msg: statusCode >= 500 ? "The practice network failed; its log says why." : error.message,
    });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ code: 404, data: null, msg: `There is nothing at ${request.method} ${request.url}.` }),
  );
  // Every answer says which network it came from.
  app.addHook("onSend", async (_request, reply) => {
    reply.header("x-network", "practice").header("x-content-type-options", "nosniff");
  });

  misbehaveOn(app, { state, realNow, spared: adminPath, closing });
  serveApi(app, network, signIn);
  serveExtension(app, network, signIn);
  serveAdmin(app, { state, network, adminToken, uid, anchor, realNow });
  servePages(app);
  return app;
}

/** Listens and returns the port: the one asked for, or the last one, or where that is taken another. */
async function listen(app: FastifyInstance, host: string, asked: number | undefined, last: number): Promise<number> {
  try {
    await app.listen({ host, port: asked ?? last });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    if (asked !== undefined)
      throw new ExplainedError(
        "port-taken",
        `Port ${asked} on ${host} is in use.`,
        "Give another one with --port, or none to have a free one chosen.",
        { cause: error },
      );
    await app.listen({ host, port: 0 });
  }
  return (app.server.address() as AddressInfo).port;
}
