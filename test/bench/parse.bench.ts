import { adapters } from "../../collector/networks/adapters.ts";
import type { Fixture } from "../collector/networks/fixture.ts";
import { fixtures as gradientFixtures } from "../collector/networks/gradient/fixtures.ts";
import { fixtures as mysteriumFixtures } from "../collector/networks/mysterium/fixtures.ts";
import { fixtures as practiceFixtures } from "../collector/networks/practice/fixtures.ts";
import { probe, fixtures as ripeAtlasFixtures } from "../collector/networks/ripe-atlas/fixtures.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";

/** Answers of 200 nodes, where a network tells of many in one. */
const nodes = 200;
const gradientNode = (index: number): string =>
  `{"id":"c-${index}","name":"n-${index}","active":true,"connect":true,"lastActive":1760000000000,"createAt":1750000000000,"duration":86400000,"today":25000,"todayDuration":600000,"todayLatency":2,"score":75000,"season":{"0":50000,"1":25000},"banned":false,"bannedReason":null,"ip":"192.0.2.1","location":null}`;
const list = (status: string): string =>
  `{"code":200,"data":[${Array.from({ length: nodes }, (_, index) => gradientNode(index).replace('"connect"', `${status}"connect"`)).join(",")}],"msg":"success"}`;
const ids = Array.from({ length: nodes }, (_, index) => index + 1);
const probes = JSON.stringify({ count: nodes, next: null, previous: null, results: ids.map((id) => probe(id)) });

const payloads: Readonly<Record<string, readonly Fixture[]>> = {
  gradient: [...gradientFixtures, { call: "sentrynode/list?page=1", body: list("") }],
  mysterium: mysteriumFixtures,
  practice: [...practiceFixtures, { call: "sentrynode/list?page=1", body: list('"status":"Good",') }],
  "ripe-atlas": [...ripeAtlasFixtures, { call: `probes/?id__in=${ids.join(",")}#${ids.join(",")}`, body: probes }],
};

/** Payloads parsed into facts in a second, by each adapter; the floor is `JSON.parse` alone on the same payloads. */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const n = Math.max(3, Math.round(30 * scale));
  for (const adapter of adapters) {
    say(adapter.network);
    const own = payloads[adapter.network] ?? [];
    const ours: number[] = [];
    const floor: number[] = [];
    const parse = (): void => own.forEach(({ call, body }) => void adapter.parse(call, body));
    const plain = (): void => own.forEach(({ body }) => void JSON.parse(body));
    for (let round = -1; round < n; round++) {
      const measured = [perSecond(own.length, parse), perSecond(own.length, plain)] as const;
      // The first round lets the compiler see the code.
      if (round < 0) continue;
      ours.push(measured[0]);
      floor.push(measured[1]);
    }
    yield figure("parse", `${adapter.network}, facts of every kind of answer`, {
      value: median(ours),
      floor: median(floor),
      unit: "payloads/s",
      n,
    });
  }
}

const leastMs = 50;

function perSecond(count: number, work: () => void): number {
  const start = performance.now();
  let rounds = 0;
  let took = 0;
  while (took < leastMs) {
    work();
    rounds += 1;
    took = performance.now() - start;
  }
  return (rounds * count * 1000) / took;
}
