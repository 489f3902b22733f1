import { createHmac } from "node:crypto";
import type { Channel } from "../settings.ts";
import type { Delivery, Sending } from "./delivery.ts";
import { postJson } from "./post.ts";

/**
 * Sends to a program of the operator's, signed as Standard Webhooks 1.0 describes (standardwebhooks.com): HMAC-SHA256 over
 * id, seconds and body. @throws NotDelivered
 */
export async function sendWebhook(
  channel: Extract<Channel, { kind: "webhook" }>,
  delivery: Delivery,
  sending: Sending,
): Promise<void> {
  const { id, at, rule, kind, severity, title, body: text, count } = delivery;
  const body = JSON.stringify({
    type: `alert.${kind}`,
    timestamp: at.toISOString(),
    data: { rule, severity, title, text, count },
  });
  const seconds = String(Math.floor(sending.now().getTime() / 1_000));
  const key = Buffer.from(channel.secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  const headers = { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": `v1,${signature}` };
  await postJson(channel.url, body, headers, sending);
}
