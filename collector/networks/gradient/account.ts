import { z } from "zod";
import { AccountFile } from "../adapter.ts";

/** The operator's own account of Gradient, read on its dashboard. */
export const GradientAccount = AccountFile.extend({
  network: z.literal("gradient"),
  origin: z
    .url({ protocol: /^https?$/, error: "leave it out, or give the address of the dashboard" })
    .default("https://app.gradient.network"),
  /** Where the dashboard's page asks for its data. */
  api: z
    .url({ protocol: /^https?$/, error: "leave it out, or give the address of the API that the dashboard asks" })
    .default("https://api.gradient.network/api"),
  email: z.string().min(1, "give the address the account signs in with"),
  password: z.string().min(1, "give the account's password"),
  /** Reading stopped at a captcha, a refusal, a suspension or new terms is taken up again where it stopped before this. */
  resumedAt: z.iso.datetime({ offset: true, error: "give an instant such as 2026-06-01T08:00:00Z" }).optional(),
});
export type GradientAccount = z.infer<typeof GradientAccount>;
