import type { Terms } from "./providers/provider.ts";

/** Real networks, with what an operator has to acknowledge before a machine that is paid for joins one. */
export const networkTerms: Readonly<Record<string, Terms>> = {
  gradient: {
    name: "gradient",
    says: "Gradient calls addresses of data centres Unsupported, and its Sentry rewards have ended: expect nothing to be earned. One account for each person, one node for each device.",
    read: "https://docs.gradient.network and the network's guidelines",
  },
};
