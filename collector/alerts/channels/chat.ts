import type { Severity } from "../rules.ts";
import type { Channel } from "../settings.ts";
import { type Delivery, type Sending, textOf } from "./delivery.ts";
import { postJson } from "./post.ts";

type Of<Kind extends Channel["kind"]> = Extract<Channel, { kind: Kind }>;

// ntfy's priorities: 3 is its usual one, 5 its highest (docs.ntfy.sh/publish, "Message priority").
const priorities: Readonly<Record<Severity, number>> = { info: 2, warning: 3, critical: 5 };

/** Publishes to an ntfy topic, as JSON to the server's root (docs.ntfy.sh/publish). @throws NotDelivered */
export async function sendNtfy({ url, topic, token }: Of<"ntfy">, delivery: Delivery, sending: Sending): Promise<void> {
  // A message of more than 4,096 bytes would become an attachment.
  const message = {
    topic,
    title: delivery.title.slice(0, 250),
    message: textOf(delivery, 1_000),
    priority: priorities[delivery.severity],
  };
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  await postJson(url, JSON.stringify(message), headers, sending);
}

/** Posts to a webhook that takes Slack's form (docs.slack.dev, "Incoming webhooks"). @throws NotDelivered */
export async function sendSlack({ url }: Of<"slack">, delivery: Delivery, sending: Sending): Promise<void> {
  // These three are the characters that Slack's text escapes.
  const text = textOf(delivery, 3_000).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  await postJson(url, JSON.stringify({ text }), {}, sending);
}

/** Posts to a webhook that takes Discord's form: 2,000 characters, and nobody is called by name. @throws NotDelivered */
export async function sendDiscord({ url }: Of<"discord">, delivery: Delivery, sending: Sending): Promise<void> {
  const message = { content: textOf(delivery, 2_000), allowed_mentions: { parse: [] } };
  await postJson(url, JSON.stringify(message), {}, sending);
}

/** Sends by a bot (core.telegram.org/bots/api#sendmessage): 4,096 characters of plain text. @throws NotDelivered */
export async function sendTelegram(
  { url, token, chat }: Of<"telegram">,
  delivery: Delivery,
  sending: Sending,
): Promise<void> {
  const message = { chat_id: chat, text: textOf(delivery, 4_096), link_preview_options: { is_disabled: true } };
  await postJson(`${url.replace(/\/$/, "")}/bot${token}/sendMessage`, JSON.stringify(message), {}, sending);
}
