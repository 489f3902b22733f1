import type { Channel } from "../settings.ts";
import { sendDiscord, sendNtfy, sendSlack, sendTelegram } from "./chat.ts";
import type { Delivery, Sending } from "./delivery.ts";
import { sendMail } from "./mail.ts";
import { sendWebhook } from "./webhook.ts";

/** Sends a message on a channel; returns when the other side has taken it. @throws NotDelivered */
export async function send(channel: Channel, delivery: Delivery, sending: Sending): Promise<void> {
  switch (channel.kind) {
    case "webhook":
      return sendWebhook(channel, delivery, sending);
    case "ntfy":
      return sendNtfy(channel, delivery, sending);
    case "slack":
      return sendSlack(channel, delivery, sending);
    case "discord":
      return sendDiscord(channel, delivery, sending);
    case "telegram":
      return sendTelegram(channel, delivery, sending);
    case "smtp":
      return sendMail(channel, delivery, sending);
  }
}
