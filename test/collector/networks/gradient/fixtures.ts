import type { Fixture } from "../fixture.ts";

const node = (id: string, more: string): string =>
  `{"id":"${id}","name":"n-${id}","active":true,"lastActive":1760000000000,"createAt":1750000000000,"duration":86400000,"today":25000,"todayDuration":600000,"todayLatency":2,"score":75000,"season":{"0":9007199254740993,"1":25000},"ip":"192.0.2.1",${more}}`;
const good = node("c-1", '"banned":false,"bannedReason":null,"location":null');
const place = '{"lat":0.5,"lng":1.25,"place":"Berlin","country":"DE","ip":"192.0.2.1"}';
const banned = node("c-2", `"banned":true,"bannedReason":"data centre","connect":false,"location":${place}`);

/** Answers as the dashboard is known to receive them, and its table as it is shown. */
export const fixtures: readonly Fixture[] = [
  { call: "status", body: '{"ip":"192.0.2.1","time":1760000000123}' },
  {
    call: "user/profile",
    body: '{"code":200,"data":{"name":"A","email":"a@example.invalid","code":"ABCDEF","seasonNo":1,"season":{"0":125000,"1":7},"stats":{"invitee":3,"pending":1},"point":{"total":125007},"node":{"sentry":2},"referredBy":null},"msg":"success"}',
  },
  { call: "sentrynode/list?page=1", body: `{"code":200,"data":[${good},${banned}],"msg":"success"}` },
  { call: "sentrynode/get/c-1", body: `{"code":200,"data":${good},"msg":"success"}` },
  { call: "sentrynode/get/c-9", body: '{"code":404,"data":null,"msg":"not found"}' },
  {
    call: "point/stats",
    body: '{"code":200,"data":[{"id":"20280229","node":100000,"referral":7,"bonus":0,"boost":12}],"msg":"success"}',
  },
  {
    call: "sentrynode/stats/c-1",
    body: '{"code":200,"data":[{"id":"20260101","node":"c-1","duration":86000123,"latency":41}],"msg":"success"}',
  },
  {
    call: "page/nodes",
    body: `{"path":"/dashboard/node","heads":["Node","Status","IP","Today's Taps","Today's Uptime","Today's Reward","Points","Node ID"],"rows":[["n-c-1","Good","192.0.2.1","2","00:10","0.25000","90071.99255","c-1"],["n-c-2","Unsupported","192.0.2.1","0","01:05","0","3","c-2"]],"listed":[{"id":"c-1","name":"n-c-1"},{"id":"c-2","name":"n-c-2"}]}`,
  },
];
