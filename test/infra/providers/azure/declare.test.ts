import { expect, it } from "vitest";
import type { Declared } from "../declared.ts";
import { accounts, declaredFleet, groupOn, providers } from "../fleet-on.ts";

const facts = providers.facts.get("azure");
if (facts === undefined) throw new Error("azure has no facts");
const home = groupOn(facts, { region: "eastus", size: "b2ats", count: 1 });
const of = (all: readonly Declared[], kind: string): Declared[] =>
  all.filter(({ type }) => type.startsWith("azure-native:") && type.endsWith(`:${kind}`));

it("a machine has an address of its own that lasts, and its disk goes with it", async () => {
  const all = await declaredFleet({ home }, { placements: { "home/0": { domain: "2", shape: "Standard_B2ats_v2" } } });
  const [machine] = of(all, "VirtualMachine");
  expect(machine?.inputs).toMatchObject({
    vmName: "gl-dev-home-0",
    zones: ["2"],
    hardwareProfile: { vmSize: "Standard_B2ats_v2" },
    networkProfile: { networkInterfaces: [{ id: "NetworkInterface-home/0", deleteOption: "Detach" }] },
    osProfile: { linuxConfiguration: { disablePasswordAuthentication: true } },
    storageProfile: {
      imageReference: { publisher: "Canonical", offer: "ubuntu-24_04-lts", sku: "server", version: "latest" },
      osDisk: { deleteOption: "Delete", diskSizeGB: 32, managedDisk: { storageAccountType: "StandardSSD_LRS" } },
    },
  });
  expect(of(all, "PublicIPAddress")[0]?.inputs).toMatchObject({
    sku: { name: "Standard" },
    publicIPAllocationMethod: "Static",
  });
});

it("what Azure refuses to change waits for a new machine revision, or renews the machine, and is never tried in place", async () => {
  const [machine] = of(await declaredFleet({ home }), "VirtualMachine");
  expect(machine?.options).toMatchObject({
    ignoreChanges: ["osProfile", "storageProfile.imageReference"],
    replaceOnChanges: ["location", "zones", "storageProfile.osDisk.managedDisk.storageAccountType"],
    replacementTrigger: 1,
    deleteBeforeReplace: true,
  });
});

it("a machine on Arm has the image for it, and a region without zones has none", async () => {
  const [machine] = of(await declaredFleet({ home: { ...home, region: "westus", size: "b2pts" } }), "VirtualMachine");
  expect(machine?.inputs).toMatchObject({ storageProfile: { imageReference: { sku: "server-arm64" } } });
  expect(machine?.inputs).not.toHaveProperty("zones");
});

it("SSH comes in from the ranges of the config and nothing else, not even from the machines beside it", async () => {
  const all = await declaredFleet({ home });
  const rules = of(all, "SecurityRule").map(({ inputs }) => inputs);
  expect(rules).toMatchObject([
    { access: "Deny", priority: 4096, sourceAddressPrefix: "*", destinationPortRange: "*", direction: "Inbound" },
    {
      access: "Allow",
      priority: 100,
      sourceAddressPrefixes: ["198.51.100.0/24", "203.0.113.4/32"],
      destinationPortRange: "22",
      protocol: "Tcp",
      direction: "Inbound",
    },
  ]);
  expect(of(all, "Subnet")[0]?.inputs).toMatchObject({ defaultOutboundAccess: false });
});

it("a phase's budget is watched on the subscription, from the first of a month on", async () => {
  const all = await declaredFleet({ home }, { phase: "pilot", phases: { pilot: { budgetUsdPerMonth: "83.33" } } });
  const [budget] = of(all, "Budget");
  expect(budget?.inputs).toMatchObject({
    scope: `/subscriptions/${accounts.azure}`,
    amount: 83.33,
    timePeriod: { startDate: "2026-11-01T00:00:00Z" },
  });
  expect(budget?.options.ignoreChanges).toEqual(["timePeriod"]);
});
