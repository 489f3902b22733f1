import type { Fixture } from "../fixture.ts";

const node = (id: string, status: string, banned: boolean): string =>
  `{"id":"${id}","name":"one","active":true,"connect":true,"status":"${status}","lastActive":1760000000000,"createAt":1750000000000,"duration":86400000,"today":25000,"todayDuration":600000,"todayLatency":2,"score":75000,"season":{"0":9007199254740993,"1":25000},"banned":${banned},"bannedReason":${banned ? '"data centre"' : "null"},"ip":"192.0.2.1","location":null}`;

/** The practice network's answers. */
export const fixtures: readonly Fixture[] = [
  { call: "status", body: '{"ip":"127.0.0.1","time":1760000000123}' },
  {
    call: "user/profile",
    body: '{"code":200,"data":{"name":"Practice","email":"practice@example.invalid","code":"ABCDEF","seasonNo":0,"season":{"0":125000},"stats":{"invitee":3,"pending":1},"point":{"total":125000},"node":{"sentry":2},"referredBy":null},"msg":"success"}',
  },
  {
    call: "sentrynode/list?page=1",
    body: `{"code":200,"data":[${node("c-1", "Good", false)},${node("c-2", "Unsupported", true)}],"msg":"success"}`,
  },
  { call: "sentrynode/get/c-1", body: `{"code":200,"data":${node("c-1", "Disconnected", false)},"msg":"success"}` },
  { call: "sentrynode/get/c-9", body: '{"code":404,"data":null,"msg":"This account has no node of that id."}' },
  {
    call: "point/stats",
    body: '{"code":200,"data":[{"id":"20280229","node":100000,"referral":7,"bonus":0,"boost":12}],"msg":"success"}',
  },
  {
    call: "sentrynode/stats/c-1",
    body: '{"code":200,"data":[{"id":"20260101","node":"c-1","duration":86000123,"latency":41}],"msg":"success"}',
  },
];
