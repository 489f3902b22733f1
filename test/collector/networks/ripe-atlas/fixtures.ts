import type { Fixture } from "../fixture.ts";

/** A probe as the API describes it; `more` replaces members. */
export function probe(id: number, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    id,
    type: "Probe",
    status: { id: 1, name: "Connected", since: "2026-06-01T00:00:00Z" },
    status_since: 1_780_272_000,
    first_connected: 1_700_000_000,
    last_connected: 1_790_000_000,
    total_uptime: 88_123_456,
    asn_v4: 64_500,
    asn_v6: null,
    prefix_v4: "192.0.2.0/24",
    prefix_v6: null,
    address_v4: "192.0.2.7",
    address_v6: null,
    country_code: "DE",
    geometry: { type: "Point", coordinates: [8.5, 50.1] },
    is_public: true,
    firmware_version: 5_120,
    tags: [{ name: "system: Software", slug: "system-software" }],
    ...more,
  };
}

const never = {
  status: { id: 0, name: "Never Connected", since: "2026-06-01T00:00:00Z" },
  status_since: null,
  first_connected: null,
  last_connected: null,
  total_uptime: null,
  prefix_v4: null,
  asn_v4: null,
};

/** Answers as the public API is documented to give them. */
export const fixtures: readonly Fixture[] = [
  {
    call: "probes/?id__in=1001,1002&page_size=500#1001,1002",
    body: JSON.stringify({ count: 2, next: null, previous: null, results: [probe(1001), probe(1002, never)] }),
  },
  {
    call: "probes/my/?page_size=500",
    body: JSON.stringify({
      count: 3,
      next: "https://atlas.example/api/v2/probes/my/?page=2&page_size=500",
      previous: null,
      results: [probe(7, { status: { id: 3, name: "Abandoned", since: "2026-06-01T00:00:00Z" } })],
    }),
  },
  {
    call: "credits/",
    body: '{"current_balance":18014398509481985,"estimated_daily_income":21600,"estimated_daily_expenditure":5760,"max_daily_credits":1000000,"max_daily_results":100000,"calculation_time":"2026-06-02T01:00:00Z","estimated_runout_seconds":null}',
  },
];
