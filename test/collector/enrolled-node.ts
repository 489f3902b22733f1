import { randomUUID } from "node:crypto";
import type { NetworkProcess } from "../practice/network-process.ts";

/** Registers a node with the practice network as its extension does, sends one heartbeat, and returns its id there. */
export async function enrolledNode({ info }: NetworkProcess): Promise<string> {
  const post = async (path: string, body: unknown, token?: string): Promise<Record<string, unknown>> => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${info.origin}/practice/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorization },
      body: JSON.stringify(body),
    });
    return ((await response.json()) as { data: Record<string, unknown> }).data;
  };
  const { token } = (await post("enrol", { code: info.enrolCode })) as { token: string };
  const { clientid } = (await post("nodes", { installation: randomUUID(), version: "1.0.0" }, token)) as {
    clientid: string;
  };
  await post("heartbeats", { clientid, version: "1.0.0", nonce: "0".repeat(32) }, token);
  return clientid;
}
