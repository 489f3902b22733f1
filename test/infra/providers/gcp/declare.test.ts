import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import type { Declared } from "../declared.ts";
import { accounts, declaredFleet, groupOn, providers } from "../fleet-on.ts";

const facts = providers.facts.get("gcp");
if (facts === undefined) throw new Error("gcp has no facts");
const home = groupOn(facts, { region: "us-central1", size: "e2-micro", count: 1 });
const of = (all: readonly Declared[], kind: string): Declared[] =>
  all.filter(({ type }) => type.startsWith("gcp:") && type.endsWith(`:${kind}`));

it("a machine is made by the cloud's rules of names and labels, and can be stopped to change its type", async () => {
  const placements = { "home/0": { domain: "us-central1-f", shape: "e2-micro" } };
  const [instance] = of(await declaredFleet({ home }, { placements }), "Instance");
  expect(instance?.inputs).toMatchObject({
    name: "gl-dev-home-0",
    zone: "us-central1-f",
    machineType: "e2-micro",
    desiredStatus: "RUNNING",
    allowStoppingForUpdate: true,
    bootDisk: { autoDelete: true, initializeParams: { size: 10, image: "image-of-ubuntu-2404-lts-amd64" } },
    labels: { "gradientlab-stack": "gl-dev", "gradientlab-node": "home_0" },
  });
  expect(instance?.options).toMatchObject({
    ignoreChanges: ["bootDisk.initializeParams.image", "metadata"],
    replacementTrigger: 1,
    deleteBeforeReplace: true,
  });
});

it("user data is packed text that says so, and cloud-init's data source there unpacks it", async () => {
  const [instance] = of(await declaredFleet({ home }), "Instance");
  const metadata = instance?.inputs.metadata as Record<string, string>;
  expect(metadata["user-data-encoding"]).toBe("base64");
  const text = gunzipSync(Buffer.from(metadata["user-data"] ?? "", "base64")).toString();
  expect(text).toMatch(/^#cloud-config\n/);
  expect(text).toContain('"hostname": "gl-home-0"');
});

it("SSH comes in from the ranges of the config, and without one no rule is made, which would be open to the world", async () => {
  const all = await declaredFleet({ home });
  expect(of(all, "Network")[0]?.inputs).toMatchObject({ autoCreateSubnetworks: false });
  expect(of(all, "Firewall").map(({ inputs }) => inputs)).toMatchObject([
    {
      direction: "INGRESS",
      sourceRanges: ["198.51.100.0/24", "203.0.113.4/32"],
      allows: [{ protocol: "tcp", ports: ["22"] }],
    },
  ]);
});

it("a phase's budget is watched on the billing account, for the project alone, to the cent", async () => {
  const all = await declaredFleet({ home }, { phase: "pilot", phases: { pilot: { budgetUsdPerMonth: "83.33" } } });
  expect(of(all, "Budget")[0]?.inputs).toMatchObject({
    billingAccount: accounts.gcp.id,
    budgetFilter: { projects: ["projects/123456789"] },
    amount: { specifiedAmount: { units: "83", nanos: 330_000_000 } },
  });
});
