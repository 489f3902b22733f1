import { createHmac } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Delivery } from "../../../collector/alerts/channels/delivery.ts";
import { send } from "../../../collector/alerts/channels/send.ts";
import type { Channel } from "../../../collector/alerts/settings.ts";
import { type Sink, startSink } from "./sink.ts";

const delivery: Delivery = {
  id: "0c1f8b5e-93ab-4bb5-8a17-1f2f1c9d3a01",
  at: new Date("2027-03-01T00:00:00Z"),
  rule: "node-silent",
  kind: "began",
  severity: "critical",
  title: "a/0 <silent> & more",
  body: "Look.",
  count: 1,
};
const usual = { name: "one", least: "info", escalation: false } as const;
const sending = {
  fetch: globalThis.fetch,
  now: () => new Date("2027-03-01T00:00:07Z"),
  signal: new AbortController().signal,
};

describe("over HTTP", () => {
  let sink: Sink;
  beforeEach(async () => {
    sink = await startSink();
  });
  afterEach(() => sink.stop());
  const body = (): unknown => JSON.parse(sink.received[0]?.body ?? "");

  it("a webhook is signed as Standard Webhooks asks", async () => {
    const key = Buffer.alloc(24, 7);
    await send(
      { kind: "webhook", ...usual, url: `${sink.url}/hook`, secret: `whsec_${key.toString("base64")}` },
      delivery,
      sending,
    );
    const [{ headers, body: sent, path } = { headers: {}, body: "", path: "" }] = sink.received;
    expect(path).toBe("/hook");
    expect(headers["webhook-id"]).toBe(delivery.id);
    expect(headers["webhook-timestamp"]).toBe("1803859207");
    const signed = createHmac("sha256", key).update(`${delivery.id}.1803859207.${sent}`).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signed}`);
    expect(JSON.parse(sent)).toEqual({
      type: "alert.began",
      timestamp: "2027-03-01T00:00:00.000Z",
      data: { rule: "node-silent", severity: "critical", title: delivery.title, text: "Look.", count: 1 },
    });
  });

  it("ntfy gets the topic, a priority and the token", async () => {
    await send({ kind: "ntfy", ...usual, url: sink.url, topic: "lab", token: "tk_1" }, delivery, sending);
    expect(body()).toEqual({ topic: "lab", title: delivery.title, message: `${delivery.title}\nLook.`, priority: 5 });
    expect(sink.received[0]?.headers.authorization).toBe("Bearer tk_1");
  });

  it("Slack gets its three characters escaped, Discord calls nobody by name", async () => {
    await send({ kind: "slack", ...usual, url: sink.url }, delivery, sending);
    expect(body()).toEqual({ text: "a/0 &lt;silent&gt; &amp; more\nLook." });
    sink.received.length = 0;
    await send({ kind: "discord", ...usual, url: sink.url }, { ...delivery, body: "x".repeat(3_000) }, sending);
    expect(body()).toMatchObject({ allowed_mentions: { parse: [] } });
    expect((body() as { content: string }).content).toHaveLength(2_000);
  });

  it("Telegram gets the chat, at the bot's address", async () => {
    const channel = { kind: "telegram", ...usual, url: sink.url, token: "12:abc", chat: "-100" } as const;
    await send(channel, delivery, sending);
    expect(sink.received[0]?.path).toBe("/bot12:abc/sendMessage");
    expect(body()).toMatchObject({ chat_id: "-100", text: `${delivery.title}\nLook.` });
  });

  it("what is not taken says why, and how long to wait", async () => {
    const channel = { kind: "slack", ...usual, url: sink.url } as const;
    sink.answer = { status: 429, headers: { "retry-after": "120" }, body: "slow\ndown" };
    await expect(send(channel, delivery, sending)).rejects.toMatchObject({
      name: "NotDelivered",
      message: "answered with 429: slow down",
      retryAfterMs: 120_000,
    });
    sink.answer = { status: 302, headers: { location: "http://127.0.0.1:1/" } };
    await expect(send(channel, delivery, sending)).rejects.toThrow("answered with 302");
    await expect(send({ ...channel, url: "http://127.0.0.1:1/" }, delivery, sending)).rejects.toThrow("no answer: ");
  });
});

describe("over SMTP", () => {
  const mail: Extract<Channel, { kind: "smtp" }> = {
    kind: "smtp",
    ...usual,
    host: "127.0.0.1",
    from: "lab@example.org",
    to: ["me@example.org"],
    port: 0,
    security: "none",
  };

  /** Starts a mail server, and returns its port, what it was given, and how to stop it. */
  async function mailServer(
    options: ConstructorParameters<typeof SMTPServer>[0] = {},
  ): Promise<{ port: number; mails: string[]; stop: () => Promise<void> }> {
    const mails: string[] = [];
    const server = new SMTPServer({
      authOptional: true,
      onData(stream, _session, callback) {
        text(stream).then((mail) => {
          mails.push(mail);
          callback();
        }, callback);
      },
      ...options,
    });
    server.on("error", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server.server, "listening");
    return {
      port: (server.server.address() as AddressInfo).port,
      mails,
      stop: () => new Promise((resolve) => server.close(() => resolve())),
    };
  }

  it("a mail has its severity in the subject, and the message's id as its own", async () => {
    const { port, mails, stop } = await mailServer({ disabledCommands: ["STARTTLS"] });
    await send({ ...mail, port }, delivery, sending);
    await stop();
    expect(mails).toHaveLength(1);
    expect(mails[0]).toContain("Subject: [critical] a/0 <silent> & more\r\n");
    expect(mails[0]).toContain(`Message-ID: <${delivery.id}@gradientlab.invalid>\r\n`);
    expect(mails[0]).toMatch(/\r\n\r\na\/0 <silent> & more\r?\n\r?\nLook\./);
  });

  it("signs in with user and password, and says what the server said of a wrong one", async () => {
    const { port, mails, stop } = await mailServer({
      authOptional: false,
      allowInsecureAuth: true,
      disabledCommands: ["STARTTLS"],
      onAuth: ({ username, password }, _session, callback) =>
        password === "right" ? callback(null, { user: username ?? "" }) : callback(new Error("Wrong password")),
    });
    const channel = { ...mail, port, user: "lab", password: "right" };
    await send(channel, delivery, sending);
    await expect(send({ ...channel, password: "wrong" }, delivery, sending)).rejects.toThrow(/Wrong password/);
    await stop();
    expect(mails).toHaveLength(1);
  });

  it("goes unencrypted only where that was asked for, and trusts no certificate of nobody", async () => {
    const plain = await mailServer({ disabledCommands: ["STARTTLS"] });
    await expect(send({ ...mail, port: plain.port, security: "starttls" }, delivery, sending)).rejects.toThrow(
      /STARTTLS/,
    );
    await plain.stop();
    // The mail server's own certificate is made for tests and signed by nobody.
    const secret = await mailServer();
    await expect(send({ ...mail, port: secret.port, security: "starttls" }, delivery, sending)).rejects.toThrow(
      /certificate/,
    );
    await secret.stop();
    expect([...plain.mails, ...secret.mails]).toEqual([]);
  });
});
