import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { SignIn } from "./account.ts";
import { unitsAsNumber } from "./api.ts";
import { type Network, season } from "./network.ts";
import { granted, readBody } from "./refusal.ts";

/** What the practice extension and the sign-in page speak with, under names of the practice network's own. */

const Version = z.string().regex(/^\d+(\.\d+){0,3}$/, "must be an extension version such as 1.0.0");
const Nonce = z.string().regex(/^[0-9a-f]{32}$/, "must be 32 lower-case hex digits");
const Installation = z.string().regex(/^[0-9a-f-]{36}$/, "must be a UUID");
const SignInRequest = z.strictObject({ email: z.string().min(1), password: z.string().min(1) });
const EnrolRequest = z.strictObject({ code: z.string().min(1) });
const RefreshRequest = z.strictObject({ refresh: z.string().min(1) });
const NodeRequest = z.strictObject({ installation: Installation, version: Version });
const HeartbeatRequest = z.strictObject({ clientid: z.string(), version: Version, nonce: Nonce });
const EchoRequest = z.strictObject({ clientid: z.string(), echo: Nonce });
const VerdictRequest = z.strictObject({ clientid: z.string(), verified: z.boolean() });

/** Serves signing in and what the extension needs, under `/practice`. */
export function serveExtension(app: FastifyInstance, network: Network, signIn: SignIn): void {
  app.get("/practice/health", async () => granted({ label: "practice" }));

  app.post("/practice/sign-in", async (request) => {
    const { email, password } = readBody(SignInRequest, request.body);
    return granted(signIn.withPassword(email, password));
  });
  app.post("/practice/enrol", async (request) =>
    granted(signIn.withEnrolCode(readBody(EnrolRequest, request.body).code)),
  );
  app.post("/practice/refresh", async (request) =>
    granted(signIn.withRefreshToken(readBody(RefreshRequest, request.body).refresh)),
  );
  app.post("/practice/sign-out", async (request) => {
    signIn.signOut(readBody(RefreshRequest, request.body).refresh);
    return granted(null);
  });

  app.post("/practice/nodes", async (request) => {
    const account = signIn.accountOf(request.headers.authorization);
    const { installation, version } = readBody(NodeRequest, request.body);
    return granted({ clientid: network.register(account, installation, version, request.ip).clientid });
  });

  app.post("/practice/heartbeats", async (request) => {
    const account = signIn.accountOf(request.headers.authorization);
    const { clientid, version, nonce } = readBody(HeartbeatRequest, request.body);
    const node = network.nodeOf(account, clientid);
    const { standing, relayed, echoed, offered } = network.heartbeat(node, version, request.ip, nonce);
    return granted({
      relayed,
      echoed,
      offered,
      shown: {
        taps: standing.today.taps,
        uptimeMs: standing.today.uptimeMs,
        units: unitsAsNumber(standing.today.units),
        seasonNo: season,
        seasonUnits: unitsAsNumber(standing.total.units),
        referred: account.invitees - account.pendingInvitees,
        referralCode: account.referralCode,
        ip: request.ip,
      },
    });
  });

  app.post<{ Params: { id: string } }>("/practice/taps/:id/echo", async (request) => {
    const account = signIn.accountOf(request.headers.authorization);
    const { clientid, echo } = readBody(EchoRequest, request.body);
    network.echo(network.nodeOf(account, clientid), request.params.id, echo);
    return granted(null);
  });

  app.post<{ Params: { id: string } }>("/practice/taps/:id/verdict", async (request) => {
    const account = signIn.accountOf(request.headers.authorization);
    const { clientid, verified } = readBody(VerdictRequest, request.body);
    const succeeded = network.conclude(network.nodeOf(account, clientid), request.params.id, verified);
    return granted({ succeeded });
  });
}
