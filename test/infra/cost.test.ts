import { expect, it } from "vitest";
import { costLines, type Uses } from "../../infra/cost.ts";
import { facts } from "../../infra/providers/gcp/facts.ts";

it("a region's part of a bill does not depend on which region is named first, be there a price or none", () => {
  const account = { opened: null, free: {}, limits: {} };
  const month = { hours: 744, monthHours: 744 };
  const at = new Date("2026-11-01T00:00:00Z");
  for (const prices of [facts.ledger.prices, []]) {
    const ledger = { ...facts.ledger, prices };
    const lines = (uses: Uses): unknown => costLines(uses, account, ledger, month, at);
    const uses = { "pd-standard@us-central1": 20, "pd-standard@us-west1": 150, "pd-standard@us-east1": 10 };
    const there = Object.fromEntries(Object.entries(uses).toReversed());
    expect(lines(there)).toEqual(lines(uses));
  }
});
