import { z } from "zod";

/**
 * The shape of the stack config as a user writes it (version 1). Editors get it as a JSON Schema; `config.ts` reads it.
 * The messages are instructions: they say what to write.
 */

const strictly = <Shape extends z.core.$ZodLooseShape>(shape: Shape, what: string) =>
  z.strictObject(shape, { error: (issue) => (issue.code === "invalid_type" ? `Write ${what}` : undefined) });
const text = (what: string) => z.string(`Write ${what} as text`).min(1, `Write ${what}`);
const wholeNumber = (least: number, most: number) => {
  const fix = `Write a whole number from ${least} to ${most}`;
  return z.int(fix).min(least, fix).max(most, fix);
};

const SlotNumber = wholeNumber(0, 999_999);
const Slots = z.array(SlotNumber, "Write a list of slot numbers, such as [1, 4]");

// The names' patterns stand beside the records, not in them: a record stops at a wrong name and would hide the mistakes
// below it, so config.ts checks the names.
export const groupNamePattern = /^[a-z][a-z0-9-]{0,19}$/;
export const nodeKeyPattern = /^[a-z][a-z0-9-]{0,19}\/(0|[1-9][0-9]*)$/;

const amount = 'Write an amount of dollars: a whole number, or a decimal in quotes such as "83.33"';
const Dollars = z
  .union([z.int().nonnegative(amount), z.string().regex(/^[0-9]{1,9}(\.[0-9]{1,6})?$/, amount)], {
    error: ({ input }) =>
      typeof input === "number" && !Number.isInteger(input)
        ? `Put the amount in quotes, "${input}", so that no digit is lost`
        : amount,
  })
  .meta({ description: "An amount in US dollars: a whole number, or a decimal in quotes." });

const instant = "Write a date such as 2026-12-31, or an instant such as 2026-12-31T18:00:00Z, in quotes";
const Instant = z.union([z.iso.date(instant), z.iso.datetime({ offset: true, error: instant })], instant);

const Size = z.union(
  [
    z.string().min(1),
    z.strictObject({
      shape: text("the provider's name of the machine type").meta({
        description: "The provider's name of the machine type.",
      }),
      cpus: wholeNumber(1, 256).meta({ description: "Its processors." }),
      memoryGib: z
        .number("Write a number of GiB")
        .positive("Write a number of GiB above 0")
        .meta({ description: "Its memory." }),
      diskGib: wholeNumber(1, 65_536).meta({ description: "Its disk." }),
    }),
  ],
  "Write the name of a size, or {shape, cpus, memoryGib, diskGib}",
);

const Group = strictly(
  {
    provider: text("the provider's name").meta({ description: "Where the group's machines are." }),
    region: text("the region's name")
      .optional()
      .meta({ description: "Where at the provider; needed where it has more than one place." }),
    size: Size.meta({ description: "A size of the provider's ledger, or a machine of your own choice." }),
    count: wholeNumber(0, 1000).meta({ description: "How many nodes live." }),
    retired: Slots.optional().meta({ description: "Slots that are never used again." }),
    stopped: Slots.optional().meta({ description: "Live slots that are powered off and keep disk and identity." }),
    label: text("a label")
      .max(200, "Write at most 200 characters")
      .optional()
      .meta({ description: "What people call the group: free text, which may change." }),
    workload: text("the workload's name").meta({ description: "What the nodes run." }),
    network: z
      .union([z.string().min(1), z.null()], "Write the network's name, or null for none")
      .meta({ description: "What the nodes earn from, or null." }),
    revision: strictly(
      {
        machine: wholeNumber(1, 1_000_000).meta({
          description: "Raise it to make each machine of the group anew, the old one first.",
        }),
        software: wholeNumber(1, 1_000_000).meta({
          description:
            "Recorded with each node. On a virtual machine that exists, raising it brings this checkout's agent; on other nodes that exist it changes nothing else yet.",
        }),
      },
      "{machine, software}",
    )
      .optional()
      .meta({ description: "Both 1 unless said." }),
    maxUnavailable: wholeNumber(1, 1000)
      .optional()
      .meta({ description: "How many nodes a roll-out may take away at once; nothing heeds it yet." }),
    options: z
      .record(z.string(), z.unknown(), "Write the provider's options as fields")
      .optional()
      .meta({ description: "What the provider takes beside: see below." }),
  },
  "a group: {provider, size, count, workload, network}",
);

const PublicKeys = z
  .array(
    z
      .string()
      .regex(
        /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+=*( .*)?$/,
        "Write an OpenSSH public key, such as the text of id_ed25519.pub",
      ),
    "Write a list of public keys",
  )
  .optional();

const Access = strictly(
  {
    sshFrom: z
      .array(
        z.cidrv4({
          error: ({ input }) =>
            typeof input === "string" && input.includes(":")
              ? "Write a range of IPv4 addresses, such as 203.0.113.4/32: machines have no IPv6 address, and this would open nothing"
              : "Write a range of addresses, such as 203.0.113.4/32",
        }),
        "Write a list of address ranges",
      )
      .min(1, "Write at least one range of addresses")
      .meta({ description: "Addresses that SSH is open to. Beside them only the collector's own machine comes in." }),
    jump: strictly(
      { host: text("the host's name"), user: text("the user's name"), hostKey: text("the host's public key") },
      "{host, user, hostKey}",
    )
      .optional()
      .meta({ description: "A host through which the collector reaches every machine." }),
    keys: strictly({ operator: PublicKeys, collector: PublicKeys }, "{operator, collector}")
      .optional()
      .meta({ description: "Public keys that are let in, as the text of their .pub files." }),
  },
  "{sshFrom, jump, keys}",
);

const Phase = strictly(
  {
    start: Instant.optional().meta({ description: "When it begins; from the first unless said." }),
    end: Instant.optional().meta({
      description:
        "When it ends; never unless said. 30 days before, every preview names the counts that fit what follows.",
    }),
    then: text("a phase's name or wind-down")
      .optional()
      .meta({ description: "The phase that follows by itself, or wind-down: no money." }),
    budgetUsdPerMonth: Dollars.meta({
      description: "What a month may cost at most: a whole number of US dollars, or a decimal in quotes.",
    }),
    grantUsd: Dollars.optional().meta({
      description:
        "What the phase may cost from its start to its end: a whole number of US dollars, or a decimal in quotes.",
    }),
  },
  "a phase: {budgetUsdPerMonth, start, end, then}",
);

const Collector = strictly(
  {
    host: strictly(
      { provider: text("the provider's name"), region: text("the region's name"), size: text("the size's name") },
      "{provider, region, size}",
    ).optional(),
    external: z
      .literal(true, "Write true, or leave it out")
      .optional()
      .meta({ description: "True where the collector runs elsewhere." }),
  },
  "{host: {provider, region, size}} or {external: true}",
).meta({ oneOf: [{ required: ["host"] }, { required: ["external"] }] });

const accountId = "the account's id, or {id, opened, free, limits, options}";
const Account = z
  .union(
    [
      z.string().min(1),
      z.strictObject({
        id: text("the account's id").meta({
          description: "The OCID of a tenancy, or the id of a billing account or a subscription.",
        }),
        opened: z.iso
          .date("Write the date on which the account was opened, such as 2026-11-01, in quotes")
          .optional()
          .meta({ description: "The day a free period of the first months began." }),
        free: z
          .record(z.string(), wholeNumber(0, 1_000_000_000), "Write allowances as fields: a quantity and a number")
          .optional()
          .meta({ description: "Free allowances that differ from the ledger's, by quantity." }),
        limits: z
          .record(z.string(), wholeNumber(0, 1_000_000_000), "Write limits as fields: a quantity and a number")
          .optional()
          .meta({ description: "Limits of this account, by quantity." }),
        options: z.record(z.string(), z.unknown(), "Write the account's options as fields").optional(),
      }),
    ],
    {
      error: ({ input }) =>
        Array.isArray(input)
          ? "Name one account: a stack has one for each provider, and a free tier is not multiplied by several"
          : `Write ${accountId}`,
    },
  )
  .meta({ description: "One tenancy, billing account or subscription." });

const read = "Write true, or the date on which you read the terms, in quotes";

/** The structured value `gradientlab:fleet`. */
export const Fleet = strictly(
  {
    schema: z
      .literal(1, "Write 1, the version of the config that this release reads")
      .meta({ description: "The version of this form." }),
    groups: z.record(z.string(), Group, "Write the groups as fields: a name, and under it what the group is").meta({
      description: "The groups by their names, which are for ever.",
      propertyNames: { pattern: groupNamePattern.source },
    }),
    phase: text("a phase's name")
      .optional()
      .meta({ description: "The phase that holds; what follows it takes over by its dates." }),
    phases: z
      .record(text("a phase's name"), Phase, "Write the phases as fields")
      .optional()
      .meta({ description: "Stretches of time, each with the money that may be spent." }),
    accounts: z
      .record(z.string(), Account, "Write the accounts as fields: a provider and its account's id")
      .optional()
      .meta({ description: "The one account at each provider: its id, or these fields." }),
    access: Access.optional().meta({ description: "Who reaches the machines." }),
    collector: Collector.optional().meta({
      description: "A machine of the collector's own; without it the collector runs on this one.",
    }),
    placements: z
      .record(
        z.string(),
        strictly({ domain: text("the domain's name"), shape: text("the shape's name") }, "{domain, shape}"),
        "Write the placements as fields: a node's key and {domain, shape}",
      )
      .optional()
      .meta({
        description: "Where nodes are that found room elsewhere: npm run up writes it.",
        propertyNames: { pattern: nodeKeyPattern.source },
      }),
    ledgerAgeDays: wholeNumber(1, 3650)
      .optional()
      .meta({ description: "Days after which an entry of a price or limit is called old; 90 unless said." }),
    acknowledge: z
      .record(
        z.string(),
        z.union([z.literal(true), z.iso.date(read)], read),
        "Write what you acknowledge as fields: a name and true",
      )
      .optional()
      .meta({ description: "Terms that you have read, by the names below: true, or the day." }),
  },
  "the fleet as fields: {schema: 1, groups: {…}}",
);
export type Fleet = z.infer<typeof Fleet>;

/** The fields of the stack config, by the names they have in `Pulumi.<stack>.yaml`. */
export const StackConfig = z.looseObject({
  "gradientlab:fleet": z.union([Fleet, z.strictObject({})]).optional(),
  "gradientlab:count": wholeNumber(0, 1000)
    .optional()
    .meta({ description: "The short form: this many nodes in one group." }),
  "gradientlab:provider": text("the provider's name").optional(),
  "gradientlab:region": text("the region's name").optional(),
  "gradientlab:secret": z.unknown().optional().meta({ description: "The stack's secret, set encrypted." }),
});
