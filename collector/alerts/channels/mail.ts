import { createTransport } from "nodemailer";
import { sentenceOf } from "../../log.ts";
import type { Channel } from "../settings.ts";
import { type Delivery, NotDelivered, type Sending } from "./delivery.ts";

const mailMs = 20_000;

/**
 * Sends mail over SMTP, encrypted unless the channel says otherwise; the message's id is its Message-ID, so that one which
 * comes twice is known. @throws NotDelivered
 */
export async function sendMail(
  { host, port, security, user, password, from, to }: Extract<Channel, { kind: "smtp" }>,
  { id, at, severity, title, body }: Delivery,
  { signal }: Pick<Sending, "signal">,
): Promise<void> {
  const transport = createTransport({
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    ...(user === undefined || password === undefined ? {} : { auth: { user, pass: password } }),
    connectionTimeout: mailMs,
    greetingTimeout: mailMs,
    socketTimeout: mailMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const end = (): void => transport.close();
  signal.addEventListener("abort", end);
  try {
    await transport.sendMail({
      from,
      to: [...to],
      date: at,
      messageId: `<${id}@gradientlab.invalid>`,
      subject: `[${severity}] ${title}`.slice(0, 200),
      text: body === "" ? title : `${title}\n\n${body}`,
    });
  } catch (error) {
    throw new NotDelivered(sentenceOf(error), null, { cause: error });
  } finally {
    signal.removeEventListener("abort", end);
    transport.close();
  }
}
