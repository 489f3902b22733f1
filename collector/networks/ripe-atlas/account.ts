import { z } from "zod";
import { AccountFile } from "../adapter.ts";

/** An account of RIPE Atlas: the probes to read, and the key with which its credits are read. */
export const RipeAtlasAccount = AccountFile.extend({
  network: z.literal("ripe-atlas"),
  origin: z
    .url({ protocol: /^https?$/, error: "leave it out, or give the address of the API" })
    .default("https://atlas.ripe.net"),
  /** A key made on the network's own pages, with leave to read the account's probes and credits. */
  apiKey: z
    .string()
    .regex(/^[0-9a-fA-F-]{36}$/, "give the key, which is a UUID")
    .optional(),
  /** Ids of probes to read beside those that the fleet's own nodes report. */
  probes: z.array(z.int("give probe ids, which are whole numbers").positive()).max(1_000).default([]),
});
export type RipeAtlasAccount = z.infer<typeof RipeAtlasAccount>;
