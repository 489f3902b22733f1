import { z } from "zod";

/**
 * The part of cloud-init's configuration that a boot document uses, by the names and types of its own JSON schema
 * (cloud-init 22.4 to 24.1, https://docs.cloud-init.io/en/24.1/reference/modules.html). cloud-init itself only warns of
 * a key it does not know and boots without it, so every document is held to this before a machine sees it.
 */

const AbsolutePath = z.string().regex(/^\/[^\0]*$/, "must be an absolute path");
const AccountName = z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, "must be an account's name");

const User = z.strictObject({
  name: AccountName,
  gecos: z.string().regex(/^[^:\n]*$/, "must not hold a colon"),
  shell: AbsolutePath,
  homedir: AbsolutePath.optional(),
  lock_passwd: z.literal(true),
  system: z.boolean().optional(),
  no_create_home: z.boolean().optional(),
  sudo: z.string().optional(),
  /** Groups of the system's own, beside the account's. */
  groups: z.array(AccountName).optional(),
});

const WriteFile = z.strictObject({
  path: AbsolutePath,
  // As text: YAML reads 0644 as the number 420, and 420 as it stands.
  permissions: z.string().regex(/^0[0-7]{3}$/, "must be an octal mode such as 0644"),
  content: z
    .string()
    .regex(/\n$/, "must end with a newline")
    // What a YAML reader may refuse or change: other control characters than tab and newline, and lone surrogates.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    .refine((text) => !/[\0-\x08\x0b-\x1f\x7f-\x9f]|\p{Surrogate}/u.test(text), "must hold text only"),
});

const Command = z.array(z.string().min(1)).min(1);

export const CloudConfig = z.strictObject({
  hostname: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "must be a host's name"),
  timezone: z.literal("Etc/UTC"),
  ssh_pwauth: z.literal(false),
  // The one type that is shown and pinned; on the smallest machines an RSA key takes longer to make than all else.
  ssh_genkeytypes: z.tuple([z.literal("ed25519")]),
  disable_root: z.literal(true),
  users: z.array(User).min(1),
  write_files: z.array(WriteFile).min(1),
  swap: z.strictObject({ filename: AbsolutePath, size: z.int().positive(), maxsize: z.int().positive() }),
  package_update: z.literal(true),
  packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9.+-]+$/, "must be a package's name")).min(1),
  runcmd: z.array(Command).min(1),
});
export type CloudConfig = z.infer<typeof CloudConfig>;
