import { z } from "zod";
import { type Ask, decimalOf, otherShape, type PriceList, type Quote, shaped, type Wanted } from "../../price-list.ts";

/**
 * Azure's list: the Retail Prices API (learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices).
 * It needs no account, tells capitals from small letters in its filters, and answers in pages of at most 1,000 records.
 */
const address = "https://prices.azure.com/api/retail/prices";
const { host, hostname } = new URL(address);
const mostPages = 50;

const Answer = z.looseObject({
  Items: z.array(
    z.looseObject({
      currencyCode: z.string(),
      tierMinimumUnits: z.number(),
      retailPrice: z.number().nonnegative(),
      armRegionName: z.string(),
      meterName: z.string(),
      productName: z.string(),
      skuName: z.string(),
      serviceName: z.string(),
      unitOfMeasure: z.string(),
      type: z.string(),
      armSkuName: z.string().nullish(),
    }),
  ),
  NextPageLink: z.string().nullish(),
});
type Item = z.infer<typeof Answer>["Items"][number];

/** The ledger's units by the list's. */
const units = new Map([
  ["1 Hour", "count-hour"],
  ["1/Month", "count-month"],
  ["1 GB", "GiB-month"],
  ["1 GB/Month", "GiB-month"],
]);

/** What has the names of a Linux machine and is another product, or may be taken away at any time. */
const otherProducts = /\bWindows$|\bCloud Services$/;
const otherSkus = /\b(?:Spot|Low Priority)$/;

export const priceList: PriceList = {
  kind: "public",
  sourceOf: ({ meterName, armSkuName }) => `Azure Retail Prices API, ${armSkuName ?? meterName}`,
  async quotes(wanted, ask) {
    const quotes: Quote[][] = [];
    // One after the other: the list is public and is asked politely.
    for (const each of wanted) quotes.push(quotesOf(each, await itemsOf(each, ask)));
    return quotes;
  },
};

async function itemsOf({ key, region }: Wanted, ask: Ask): Promise<Item[]> {
  const fields = { ...key, priceType: "Consumption", ...(region === null ? {} : { armRegionName: region }) };
  const filter = Object.entries(fields)
    .map(([field, value]) => `${field} eq '${value.replaceAll("'", "''")}'`)
    .join(" and ");
  const items: Item[] = [];
  let next: string | null | undefined =
    `${address}?api-version=2023-01-01-preview&currencyCode='USD'&$filter=${encodeURIComponent(filter)}`;
  for (let page = 0; typeof next === "string" && next !== ""; page++) {
    if (page === mostPages) throw otherShape(host, `one price has more than ${mostPages} pages`);
    const answer: z.infer<typeof Answer> = shaped(host, Answer, await ask(next));
    items.push(...answer.Items);
    next = answer.NextPageLink;
    // The links name the port too.
    if (typeof next === "string" && next !== "" && new URL(next, address).hostname !== hostname)
      throw otherShape(host, `its next page is at ${next}`);
  }
  return items;
}

function quotesOf({ key, region }: Wanted, items: readonly Item[]): Quote[] {
  const dearest = new Map<string, Item>();
  for (const item of items) {
    const fits =
      Object.entries(key).every(([field, value]) => item[field] === value) &&
      (region === null || item.armRegionName === region) &&
      item.type === "Consumption" &&
      !otherProducts.test(item.productName) &&
      !otherSkus.test(item.skuName);
    const product = `${item.productName} ${item.meterName} ${item.armRegionName}`;
    if (fits && item.retailPrice >= (dearest.get(product)?.retailPrice ?? 0)) dearest.set(product, item);
  }
  return [...dearest.values()].map((item) => ({
    product: `${item.productName}, ${item.meterName}`,
    region: item.armRegionName === "" ? null : item.armRegionName,
    value: decimalOf(item.retailPrice),
    currency: item.currencyCode,
    unit: units.get(item.unitOfMeasure) ?? item.unitOfMeasure,
  }));
}
