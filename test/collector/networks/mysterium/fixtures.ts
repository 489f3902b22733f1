import type { Fixture } from "../fixture.ts";

/** An identity of nobody. */
export const identity = "0x00000000000000000000000000000000000000aa";

const token = (wei: string, ether: string, human: string): string =>
  `{"wei":"${wei}","ether":"${ether}","human":"${human}"}`;
const lifetime = token("12345678901234567890", "12.34567890123456789", "12.345678");
const empty = token("", "", "");

/** Answers as a node's own API (1.38) is documented to give them, its traps among them. */
export const fixtures: readonly Fixture[] = [
  {
    call: `healthcheck#${identity}`,
    body: '{"uptime":"25h53m33.540128331s","process":10449,"version":"1.38.3","build_info":{"commit":"c0ffee","branch":"1.38.3","build_number":"1"}}',
  },
  { call: "identities", body: `{"identities":[{"id":"${identity}"}]}` },
  {
    call: `identities/${identity}`,
    body: `{"id":"${identity}","registration_status":"Registered","channel_address":"0xc1","hermes_id":"0xe1","balance":3456789012345678901,"earnings":9007199254740993,"earnings_total":12345678901234567890,"stake":10000000000000000001,"balance_tokens":${token("3456789012345678901", "3.456789012345678901", "3.456789")},"earnings_tokens":${token("9007199254740993", "0.009007199254740993", "0.009007")},"earnings_total_tokens":${lifetime},"earnings_per_hermes":{"0xe1":{"earnings":${token("1", "0.000000000000000001", "0.000000")}}}}`,
  },
  {
    call: `services#${identity}`,
    body: '[{"id":"5a","type":"wireguard","status":"Running","connection_statistics":{"attempted":18,"successful":17}},{"id":"5b","type":"scraping","status":"NotRunning","connection_statistics":{"attempted":0,"successful":0}}]',
  },
  { call: `nat/type#${identity}`, body: '{"type":"prcone"}' },
  { call: `nat/type?again#${identity}`, body: '{"type":"","error":"no STUN server answered"}' },
  { call: `node/monitoring-status#${identity}`, body: '{"status":"success"}' },
  { call: "node/monitoring-status", body: '{"status":"unknown"}' },
  { call: `node/provider/quality#${identity}`, body: '{"quality":2.1500000953674316}' },
  {
    call: `node/provider/activity-stats#${identity}`,
    body: '{"online_percent":99.30555555555556,"active_percent":1.5e-07}',
  },
  {
    call: `node/provider/service-earnings#${identity}`,
    body: `{"public_tokens":${token("250000000000000007", "0.250000000000000007", "0.250000")},"data_transfer_tokens":${token("0", "0", "0")},"scraping_tokens":${token("31", "0.000000000000000031", "0.000000")},"dvpn_tokens":${token("4", "0.000000000000000004", "0.000000")},"monitoring_tokens":${empty},"total_tokens":${lifetime},"total_public_tokens":${lifetime}}`,
  },
  {
    call: `sessions/stats-daily?date_from=2026-02-27&date_to=2026-02-28#${identity}`,
    body: '{"items":{"2026-02-27":{"count":3,"count_consumers":2,"sum_bytes_received":123456789,"sum_bytes_sent":9007199254740997,"sum_duration":5400,"sum_tokens":18446744073709551617},"2026-02-28":{"count":0,"count_consumers":0,"sum_bytes_received":0,"sum_bytes_sent":0,"sum_duration":0,"sum_tokens":0}},"stats":{"count":3,"count_consumers":2,"sum_bytes_received":123456789,"sum_bytes_sent":9007199254740997,"sum_duration":5400,"sum_tokens":18446744073709551617}}',
  },
  {
    call: `terms#${identity}`,
    body: '{"agreed_provider":true,"agreed_consumer":false,"agreed_version":"0.0.53","current_version":"0.0.54"}',
  },
];
