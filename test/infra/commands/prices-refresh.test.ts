import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { main } from "../../../infra/commands/prices-refresh.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { Ledger, type Price } from "../../../infra/ledger.ts";
import { type AzureItem, type PriceLists, startPriceLists } from "../price-lists.ts";

const at = new Date("2027-02-01T09:00:00Z");
let lists: PriceLists;
let folder: string;
let written: string;
let waits: number[];

beforeEach(async () => {
  lists = await startPriceLists();
  folder = mkdtempSync(join(tmpdir(), "gradientlab-ledgers-"));
  written = "";
  waits = [];
  for (const name of ["oci", "gcp", "azure"])
    cpSync(join(checkout, "infra", "providers", name, "ledger.json"), join(folder, name, "ledger.json"));
  lists.oracle.push(...oraclesToday());
  lists.azure.push(...azuresToday());
});
afterEach(async () => {
  await lists.close();
  rmSync(folder, { recursive: true });
});

const text = (name: string): string => readFileSync(join(folder, name, "ledger.json"), "utf8");
const prices = (name: string): Price[] => Ledger.parse(JSON.parse(text(name))).prices;
const all = (): string[] => ["oci", "gcp", "azure"].map(text);
const refresh = (...args: string[]): Promise<number> =>
  main(args, {
    fetch: lists.fetch,
    now: () => at,
    ledgers: folder,
    write: (said) => {
      written += said;
    },
    async sleep(ms) {
      waits.push(ms);
    },
  });

/** What the ledgers that ship have, as Oracle lists it. */
function oraclesToday() {
  const metrics: Record<string, string> = {
    "OCPU-hour": "OCPU Per Hour",
    "GiB-hour": "Gigabyte Per Hour",
    "GiB-month": "Gigabyte Storage Capacity Per Month",
    "count-month": "Performance Units Per Gigabyte Per Month",
  };
  return prices("oci").flatMap(({ key, value, unit, quantity }) =>
    key === undefined
      ? []
      : [
          {
            partNumber: key.partNumber ?? "",
            displayName: `Part for ${quantity}`,
            metricName: metrics[unit] ?? "",
            tiers: quantity.startsWith("a1") ? [0, Number(value)] : [Number(value)],
          },
        ],
  );
}

/** What the ledgers that ship have, as Azure lists it, with the things of like names that are none of theirs. */
function azuresToday(): AzureItem[] {
  const units: Record<string, string> = { "count-hour": "1 Hour", "count-month": "1/Month", "GiB-month": "1 GB" };
  return prices("azure").flatMap(({ key, value, unit, region, readIn }): AzureItem[] => {
    const {
      serviceName = "",
      productName = "Virtual Machines BPSv2 Series",
      meterName = "",
      armSkuName = "",
    } = key ?? {};
    const item = { serviceName, productName, meterName, armSkuName, skuName: meterName };
    const where = { armRegionName: region ?? readIn ?? "northeurope", unitOfMeasure: units[unit] ?? "" };
    const real = { ...item, ...where, retailPrice: Number(value) };
    if (armSkuName !== "")
      return [
        { ...real, productName: `${productName} Windows`, retailPrice: 0.02 },
        { ...real, productName: "BPSv2 Series Cloud Services", retailPrice: 0.03 },
        { ...real, skuName: `${meterName} Spot`, meterName: `${meterName} Spot`, retailPrice: 0.001 },
        { ...real, type: "DevTestConsumption", retailPrice: 0.004 },
        real,
        { ...real, armRegionName: "brazilsouth", retailPrice: Number(value) * 1.6 },
      ];
    if (serviceName === "Bandwidth")
      return [0, 100, 10_340].map((tierMinimumUnits, tier) => ({
        ...real,
        tierMinimumUnits,
        retailPrice: [0, Number(value), 0.083][tier],
      }));
    return [real, { ...real, armRegionName: "usgovvirginia", retailPrice: 77 }];
  });
}

function setOracle(part: string, tiers: readonly unknown[]): void {
  const index = lists.oracle.findIndex(({ partNumber }) => partNumber === part);
  const found = lists.oracle[index];
  if (found === undefined) throw new Error(`no part ${part}`);
  lists.oracle[index] = { ...found, tiers };
}

describe("prices:refresh", () => {
  it("shows what changed for review, says which list is closed, and writes nothing", async () => {
    const before = all();
    setOracle("B93113", [0.027]);
    expect(await refresh()).toBe(0);
    expect(written).toMatch(/^oci: 1 changed, 7 as they were, 2 without a key to look up by hand$/m);
    expect(written).toMatch(/^ {2}e4-ocpu +0\.025 → 0\.027 +per OCPU-hour +Part for e4-ocpu +was checked 2026-11-21$/m);
    expect(written).toMatch(/^azure: 0 changed, 6 as they were$/m);
    expect(written).toMatch(/^gcp: Google's price catalogue answers only to who has an API key/m);
    expect(written).toContain("Nothing is written. Add --write");
    expect(all()).toEqual(before);
  });

  it("writes value, source and day of what it looked up, and no other byte", async () => {
    const [oci = "", gcp = ""] = all();
    setOracle("B93297", [0, 0.011]);
    expect(await refresh("--write")).toBe(0);
    expect(text("gcp")).toBe(gcp);
    const price = prices("oci").find(({ quantity }) => quantity === "a1-ocpu");
    expect(price).toMatchObject({ value: "0.011", source: "Oracle price list, B93297", checkedOn: "2027-02-01" });
    const lines = (ledger: string): string[] => ledger.split("\n");
    const changed = lines(text("oci")).filter((line, n) => line !== lines(oci)[n]);
    expect(new Set(changed.map((line) => line.trim()))).toEqual(
      new Set(['"value": "0.011",', '"checkedOn": "2027-02-01"']),
    );
    const egress = prices("azure").find(({ quantity }) => quantity === "egress");
    expect(egress).toMatchObject({ value: "0.087", source: "Azure Retail Prices API, Standard Data Transfer Out" });
    // What is by hand keeps its day.
    expect(prices("oci").find(({ quantity }) => quantity === "vcn")?.checkedOn).toBe("2026-11-21");
    const twice = all();
    expect(await refresh("--write")).toBe(0);
    expect(all()).toEqual(twice);
  });

  it("reads a list to its last page, and asks one again that is asked too often, after the wait that it names", async () => {
    lists.page = 2;
    lists.instead.push(
      { host: "prices.azure.com", status: 429, headers: { "retry-after": "7" } },
      { host: "prices.azure.com", status: 503 },
    );
    expect(await refresh("--provider", "azure")).toBe(0);
    expect(waits).toEqual([7000, 4000]);
    expect(written).toMatch(/^azure: 0 changed, 6 as they were$/m);
    // The tiers of traffic are three records.
    expect(lists.asked.filter((address) => address.includes("Bandwidth") && address.includes("$skip=2"))).toHaveLength(
      1,
    );
  });

  it("adds what the ledger has for single regions in one that has none yet", async () => {
    for (const item of azuresToday().filter(
      (each) => each.armRegionName === "eastus" || each.armRegionName === "westus2",
    ))
      if (item.retailPrice !== 77)
        lists.azure.push({ ...item, armRegionName: "westus3", retailPrice: Number(item.retailPrice) * 1.1 });
    expect(await refresh("--provider", "azure", "--region", "westus3", "--write")).toBe(0);
    expect(written).toMatch(/^ {2}b2ats-v2@westus3 +none → 0\.01034 +per count-hour .+ new$/m);
    const added = prices("azure").filter(({ region }) => region === "westus3");
    expect(added.map(({ quantity }) => quantity).toSorted()).toEqual([
      "b2ats-v2",
      "b2pts-v2",
      "disk-e4",
      "disk-p6",
      "egress",
    ]);
    expect(
      added.every(
        ({ checkedOn, key, readIn }) => checkedOn === "2027-02-01" && key !== undefined && readIn === undefined,
      ),
    ).toBe(true);
    // Those of other regions were not looked up.
    expect(prices("azure").find(({ region }) => region === "eastus")?.checkedOn).toBe("2026-11-21");
  });
});

describe("prices:refresh changes no ledger", () => {
  const fails = async (code: string, message: RegExp, ...args: string[]): Promise<void> => {
    const before = all();
    await expect(refresh("--write", ...args)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(all()).toEqual(before);
  };

  it("and names every price that cannot be: gone, in another unit or currency, of several values, or far off", async () => {
    lists.oracle.splice(
      lists.oracle.findIndex(({ partNumber }) => partNumber === "B93114"),
      1,
    );
    setOracle("B93297", [0, 0.021]);
    setOracle("B93298", [0]);
    const volume = lists.oracle.findIndex(({ partNumber }) => partNumber === "B91961");
    lists.oracle[volume] = {
      ...oraclesToday().find(({ partNumber }) => partNumber === "B91961"),
      metricName: "Terabyte Storage Capacity Per Month",
    } as (typeof lists.oracle)[number];
    const address = lists.azure.find(
      ({ productName, retailPrice }) => productName === "IP Addresses" && retailPrice !== 77,
    );
    if (address !== undefined) lists.azure.push({ ...address, armRegionName: "japaneast", retailPrice: 0.006 });
    await fails("bad-input", /5 mistakes/);
    await expect(refresh()).rejects.toThrow(
      [
        "The price list has 5 mistakes:",
        "  infra/providers/azure/ledger.json ipv4: the list has 2 prices for it: 0.005 (IP Addresses, Standard IPv4 Static Public IP, northeurope); 0.006 (IP Addresses, Standard IPv4 Static Public IP, japaneast). Make its key tell them apart, or give the price of each region an entry of its own.",
        "  infra/providers/oci/ledger.json a1-ocpu: the list has 0.021 per OCPU-hour for Part for a1-ocpu, and the ledger 0.01: more than twice or less than half. Look it up in a browser; where it is right, write value, source and day into the ledger by hand.",
      ].join("\n"),
    );
    await expect(refresh()).rejects.toThrow(
      'e4-memory: the list has nothing with partNumber "B93114". Correct its key',
    );
    await expect(refresh()).rejects.toThrow("a1-memory: the list has 0 per GiB-hour");
    await expect(refresh()).rejects.toThrow(
      "block-volume: the list has it in USD per Terabyte Storage Capacity Per Month, and the ledger in USD per GiB-month.",
    );
  });

  it("where there is no network, and says so in one sentence", async () => {
    const fetch = async (): Promise<Response> => {
      throw new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND apexapps.oracle.com") });
    };
    const before = all();
    const around = { fetch, now: () => at, ledgers: folder, write: () => undefined, sleep: async () => undefined };
    await expect(main(["--write", "--provider", "oci"], around)).rejects.toMatchObject({
      code: "no-price-list",
      message:
        "apexapps.oracle.com could not be reached (getaddrinfo ENOTFOUND apexapps.oracle.com). No ledger was changed.",
      fix: "Run it again where there is a network.",
    });
    expect(all()).toEqual(before);
  });

  it("where a list refuses, keeps refusing, or answers what it is not documented to", async () => {
    const oracle = "apexapps.oracle.com";
    lists.instead.push({ host: oracle, status: 500 });
    await fails("no-price-list", /^apexapps\.oracle\.com answered 500\. No ledger was changed\.$/);
    lists.instead.push(...[1, 2, 3, 4].map(() => ({ host: oracle, status: 429 })));
    await fails("no-price-list", /answered 429 and is to be asked again in 16 s/);
    lists.instead.push({ host: oracle, status: 429, headers: { "retry-after": "3600" } });
    await fails("no-price-list", /answered 429 and is to be asked again in 3600 s/);
    lists.instead.push({ host: oracle, status: 200, body: "<html>Log in" });
    await fails("no-price-list", /answered with something that is not JSON: "<html>Log in"/);
    lists.instead.push({ host: oracle, status: 200, body: '{"products":[]}' });
    await fails("no-price-list", /another shape than its documentation says: items: /);
    setOracle("B93113", ["0.025"]);
    await fails("no-price-list", /items\.2\.currencyCodeLocalizations\.0\.prices\.0\.value/);
    const away = { Items: [], NextPageLink: "https://prices.example.com/api/retail/prices?$skip=1000" };
    lists.instead.push({ host: "prices.azure.com", status: 200, body: JSON.stringify(away) });
    await fails("no-price-list", /its next page is at https:\/\/prices\.example\.com/, "--provider", "azure");
  });

  it("for a provider or a region that there is not, and for a region of none", async () => {
    await fails("bad-input", /--provider is "ocy"\. Did you mean oci\?/, "--provider", "ocy");
    await fails(
      "bad-input",
      /--region is "westus9", which is not a region of azure/,
      "--provider",
      "azure",
      "--region",
      "westus9",
    );
    await fails("bad-input", /--region is given without --provider/, "--region", "westus2");
  });
});
