import { z } from "zod";

/** What a running practice network tells the rest of the project, in `service.json` of its folder, owner-only. */
export const ServiceInfo = z.object({
  schema: z.literal(1),
  origin: z.url(),
  label: z.literal("practice"),
  /** Network time runs this many times as fast as real time. */
  speed: z.number(),
  heartbeatSeconds: z.number(),
  account: z.object({ email: z.string(), password: z.string() }),
  enrolCode: z.string(),
  /** `crx` and `folder` (the same extension, unpacked) are absolute paths. */
  extension: z.object({ id: z.string(), version: z.string(), crx: z.string(), folder: z.string() }),
  adminToken: z.string(),
  /** As the service's own process tree numbers it. */
  pid: z.int(),
  startedAt: z.iso.datetime(),
});
export type ServiceInfo = z.infer<typeof ServiceInfo>;
