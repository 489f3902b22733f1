import { z } from "zod";
import { AccountFile } from "../adapter.ts";

/** An account of the practice network, as the fleet's own practice service writes it. */
export const PracticeAccount = AccountFile.extend({
  network: z.literal("practice"),
  origin: z.url({ protocol: /^https?$/, error: "give the address of the practice network" }),
  email: z.string().min(1, "give the address the account signs in with"),
  password: z.string().min(1, "give the account's password"),
  /** Seconds between two rewards of a node with which all is well; null or absent: what the adapter knows. */
  rewardSeconds: z.number().positive("give seconds above 0").nullish(),
});
export type PracticeAccount = z.infer<typeof PracticeAccount>;
