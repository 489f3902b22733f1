import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { ClockAnchor } from "./clock.ts";
import { MisbehaviourRequest, startMisbehaviour, underWay } from "./misbehaviour.ts";
import type { Network } from "./network.ts";
import { granted, Refusal, readBody } from "./refusal.ts";
import type { State } from "./state.ts";
import { sameSecret } from "./token.ts";

/** Where the admin's paths begin; misbehaviour never touches them. */
export const adminPath = "/practice/admin/";

const InviteesRequest = z
  .strictObject({ count: z.int().min(1).max(1_000_000), pending: z.int().min(0).default(0) })
  .refine(({ count, pending }) => pending <= count, { path: ["pending"], message: "must be at most count" });
const HeartbeatsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(100_000).default(1000),
});

/** Serves what only the holder of the admin token may do: misbehaviour on request, invitees, and a look at heartbeats. */
export function serveAdmin(
  app: FastifyInstance,
  {
    state,
    network,
    adminToken,
    uid,
    anchor,
    realNow,
  }: {
    readonly state: State;
    readonly network: Network;
    readonly adminToken: string;
    readonly uid: string;
    readonly anchor: ClockAnchor;
    readonly realNow: () => number;
  },
): void {
  app.register(
    async (admin) => {
      admin.addHook("onRequest", async (request) => {
        const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
        if (given === undefined || !sameSecret(given, adminToken))
          throw new Refusal(401, "The header Authorization: Bearer <adminToken of service.json> is missing or wrong.");
      });

      admin.get("/clock", async () =>
        granted({ networkMs: network.now(), realMs: realNow(), speed: anchor.speed, toleranceMs: network.toleranceMs }),
      );

      admin.get("/misbehaviours", async () => granted(underWay(state, realNow())));
      admin.post("/misbehaviours", async (request) => {
        const asked = readBody(MisbehaviourRequest, request.body);
        if ("clientid" in asked && state.node(asked.clientid) === undefined)
          throw new Refusal(404, "There is no node of that id.");
        return granted({ id: startMisbehaviour(state, asked, realNow()) });
      });
      admin.delete("/misbehaviours", async () => granted({ cleared: state.removeMisbehaviours() }));
      admin.delete<{ Params: { id: string } }>("/misbehaviours/:id", async (request) =>
        granted({ cleared: state.removeMisbehaviour(request.params.id) }),
      );

      admin.post("/invitees", async (request) => {
        const { count, pending } = readBody(InviteesRequest, request.body);
        state.addInvitees(count, pending, uid);
        return granted(null);
      });

      admin.get<{ Params: { cid: string } }>("/nodes/:cid/heartbeats", async (request) => {
        const { after, limit } = readBody(HeartbeatsQuery, request.query);
        if (state.node(request.params.cid) === undefined) throw new Refusal(404, "There is no node of that id.");
        return granted({
          toleranceMs: network.toleranceMs,
          heartbeats: state.heartbeatsAfter(request.params.cid, after, limit),
        });
      });
    },
    { prefix: adminPath },
  );
}
