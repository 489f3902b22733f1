import { z } from "zod";
import { BadInput, ExplainedError, type Problem } from "../../infra/problem.ts";
import type { Opener } from "../credentials.ts";
import { readPrivateJson } from "../private-json.ts";
import { type RuleName, ruleNames, type Severity, severities } from "./rules.ts";

const Seconds = (most: number) =>
  z.int("give whole seconds").min(0, "give seconds from 0").max(most, `give at most ${most} seconds`);
const Web = z.url({ protocol: /^https?$/, error: "give an address that begins with https:// or http://" });
const Clock = z.string().regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'give a time of day such as "22:00"');
const Zone = z.string().refine(isZone, 'give a time zone such as "Europe/Berlin" or "UTC"');
const Word = z.string().min(1, "may not be empty");

const channelFields = {
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, "give a short name of small letters, digits and hyphens"),
  /** What is less than this is not sent here. */
  least: z.enum(severities, `write one of ${severities.join(", ")}`).default("warning"),
  /** Takes only what nobody acknowledged in time. */
  escalation: z.boolean("write true or false").default(false),
  /** What is not critical waits for the end of these hours; they may go over midnight. */
  quiet: z.strictObject({ from: Clock, to: Clock, zone: Zone }).optional(),
};

const Channel = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("webhook"),
      ...channelFields,
      url: Web,
      /** Signs each message as Standard Webhooks asks: whsec_ and base64. */
      secret: z
        .string()
        .regex(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, 'give "whsec_" and at least 24 random bytes in base64'),
    }),
    z.strictObject({
      kind: z.literal("ntfy"),
      ...channelFields,
      url: Web,
      topic: z.string().regex(/^[-_A-Za-z0-9]{1,64}$/, "give a topic of letters, digits, - and _"),
      token: Word.optional(),
    }),
    z.strictObject({ kind: z.literal("slack"), ...channelFields, url: Web }),
    z.strictObject({ kind: z.literal("discord"), ...channelFields, url: Web }),
    z.strictObject({
      kind: z.literal("telegram"),
      ...channelFields,
      url: Web.default("https://api.telegram.org"),
      token: z.string().regex(/^[0-9]+:[A-Za-z0-9_-]{20,}$/, "give the bot's token"),
      chat: Word,
    }),
    z.strictObject({
      kind: z.literal("smtp"),
      ...channelFields,
      host: Word,
      port: z.int("give a port number").min(1, "give a port number").max(65535, "give a port number").default(587),
      /** tls: encrypted from the first byte; starttls: refused where the server does not offer it; none: a relay on this machine. */
      security: z.enum(["tls", "starttls", "none"], "write tls, starttls or none").default("starttls"),
      user: Word.optional(),
      password: Word.optional(),
      from: z.email("give an address such as lab@example.org"),
      to: z.array(z.email("give an address such as me@example.org")).min(1, "name at least one address"),
    }),
  ],
  { error: 'let "kind" be webhook, ntfy, slack, discord, telegram or smtp' },
);

/** A way on which somebody is told. It may hold secrets. */
export type Channel = z.infer<typeof Channel>;

const Rule = z.strictObject({
  enabled: z.boolean("write true or false").optional(),
  graceSeconds: Seconds(30 * 86_400).optional(),
  severity: z.enum(severities, `write one of ${severities.join(", ")}`).optional(),
});

const File = z.strictObject({
  schema: z.literal(1, "write 1"),
  channels: z.array(Channel).default([]),
  rules: z.partialRecord(z.enum(ruleNames as [RuleName, ...RuleName[]]), Rule).default({}),
  /** How long a first alert waits for others of its rule. */
  groupWaitSeconds: Seconds(3_600).default(30),
  /** The least distance between two messages of one rule. */
  groupIntervalSeconds: Seconds(86_400).default(300),
  /** How long a critical alert may stay unacknowledged; null: it is never told again. */
  escalateAfterMinutes: z.int("give whole minutes").min(1, "give minutes from 1").nullable().default(30),
  /** Asked for as long as the collector watches, so that its silence is noticed from outside. */
  heartbeat: z
    .strictObject({ url: Web, everySeconds: Seconds(86_400).min(10, "give at least 10").default(60) })
    .optional(),
});

/** What the operator asks of alerts. */
export type AlertSettings = z.infer<typeof File>;

/** What holds where there is no settings file: every rule, shown on the page alone. */
export const usualSettings: AlertSettings = File.parse({ schema: 1 });

/** How one rule behaves. */
export interface RuleSetting {
  readonly enabled: boolean;
  readonly severity: Severity;
  readonly graceSeconds: number;
}

/**
 * Returns the settings in `file`.
 * @throws ExplainedError where there is no such file, it is no JSON, or others than its owner may read it.
 * @throws BadInput with every mistake in it; no value of it stands in a message, because it may be a secret.
 */
export async function readAlertSettings(file: string, opener: Opener): Promise<AlertSettings> {
  return alertSettingsIn(await valueIn(file, opener), `The alert settings ${file}`);
}

/** Returns the settings that `value` is; `what` names them in messages. @throws BadInput as `readAlertSettings`. */
export function alertSettingsIn(value: unknown, what: string): AlertSettings {
  const result = File.safeParse(value);
  const problems = result.success ? twice(result.data.channels) : result.error.issues.flatMap(problemsIn);
  if (!result.success || problems.length > 0) throw new BadInput(what, problems);
  return result.data;
}

async function valueIn(file: string, opener: Opener): Promise<unknown> {
  try {
    return await readPrivateJson(
      file,
      {
        purpose: "alerts",
        code: "alerts",
        open: `The alert settings ${file} hold secrets and others than their owner may read them.`,
        notJson: `The alert settings ${file} are not JSON.`,
        fix: "Write them anew.",
      },
      opener,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new ExplainedError(
      "alerts-missing",
      `There are no alert settings ${file}.`,
      "Write them, or unset ALERTS to show alerts on the page alone.",
    );
  }
}

function problemsIn(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const path = [...issue.path, key].join(".");
      return { path, value: undefined, message: `${path} is not a known field.`, fix: "Remove it." };
    });
  }
  const path = issue.path.join(".") || "the file";
  const fix = issue.code === "invalid_key" ? `use a rule's name: ${ruleNames.join(", ")}` : issue.message;
  const sentence = `${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`;
  return [{ path, value: undefined, message: `${path} is not as it should be.`, fix: sentence }];
}

/** Deliveries are known by their channel's name. */
function twice(channels: readonly Channel[]): Problem[] {
  return channels.flatMap(({ name }, index) =>
    channels.findIndex((other) => other.name === name) === index
      ? []
      : [
          {
            path: `channels.${index}.name`,
            value: name,
            message: `channels.${index}.name is "${name}", which another channel has.`,
            fix: "Give each channel a name of its own.",
          },
        ],
  );
}

/** Returns what of the settings must stand in no log: what channels hold, and the heartbeat's address. */
export function secretsOfSettings({ channels, heartbeat }: AlertSettings): readonly string[] {
  return [...channels.flatMap(secretsOf), ...(heartbeat === undefined ? [] : [heartbeat.url])];
}

/** Returns what of a channel must stand in no log and no table. */
export function secretsOf(channel: Channel): readonly string[] {
  switch (channel.kind) {
    case "webhook":
      return [channel.secret, channel.url];
    case "ntfy":
      return channel.token === undefined ? [] : [channel.token];
    case "slack":
    case "discord":
      return [channel.url, new URL(channel.url).pathname];
    case "telegram":
      return [channel.token];
    case "smtp":
      return channel.password === undefined ? [] : [channel.password];
  }
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).format(0) !== "";
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
