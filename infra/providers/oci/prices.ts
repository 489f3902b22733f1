import { z } from "zod";
import { type Ask, decimalOf, otherShape, type PriceList, type Quote, shaped, type Wanted } from "../../price-list.ts";

/**
 * Oracle's list: the price list API behind its cost estimator. It has one price for all commercial regions, found by
 * the part number, in tiers of which the first may be free; a price without tiers has one.
 */
const address = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/?currencyCode=USD";
const { host, origin } = new URL(address);

/** The most pages that are read: the list came in one when this was written. */
const mostPages = 50;

const Answer = z.looseObject({
  items: z.array(
    z.looseObject({
      partNumber: z.string(),
      displayName: z.string(),
      metricName: z.string(),
      currencyCodeLocalizations: z.array(
        z.looseObject({
          currencyCode: z.string(),
          prices: z.array(z.looseObject({ model: z.string(), value: z.number().nonnegative() })),
        }),
      ),
    }),
  ),
  links: z.array(z.looseObject({ rel: z.string(), href: z.string() })).optional(),
});
type Product = z.infer<typeof Answer>["items"][number];

/** The ledger's units by the list's metrics. */
const units = new Map([
  ["OCPU Per Hour", "OCPU-hour"],
  ["Gigabyte Per Hour", "GiB-hour"],
  ["Gigabytes Per Hour", "GiB-hour"],
  ["Gigabyte RAM Per Hour", "GiB-hour"],
  ["Gigabyte Storage Capacity Per Month", "GiB-month"],
  ["Performance Units Per Gigabyte Per Month", "count-month"],
]);

export const priceList: PriceList = {
  kind: "public",
  sourceOf: ({ partNumber }) => `Oracle price list, ${partNumber}`,
  async quotes(wanted, ask) {
    const products = await productsOf(ask);
    return wanted.map((each) => quotesOf(each, products));
  },
};

async function productsOf(ask: Ask): Promise<Product[]> {
  const products: Product[] = [];
  let next: string | undefined = address;
  for (let page = 0; next !== undefined; page++) {
    if (page === mostPages) throw otherShape(host, `it has more than ${mostPages} pages`);
    const answer: z.infer<typeof Answer> = shaped(host, Answer, await ask(next));
    products.push(...answer.items);
    next = answer.links?.find(({ rel }) => rel === "next")?.href;
    if (next !== undefined && new URL(next, address).origin !== origin)
      throw otherShape(host, `its next page is at ${next}`);
  }
  return products;
}

function quotesOf({ key }: Wanted, products: readonly Product[]): Quote[] {
  return products
    .filter(({ partNumber }) => partNumber === key.partNumber)
    .flatMap(({ displayName, metricName, currencyCodeLocalizations }) =>
      currencyCodeLocalizations.flatMap(({ currencyCode, prices }): Quote[] => {
        const tiers = prices.flatMap(({ model, value }) => (model === "PAY_AS_YOU_GO" ? [value] : []));
        if (tiers.length === 0) return [];
        return [
          {
            product: displayName,
            region: null,
            value: decimalOf(Math.max(...tiers)),
            currency: currencyCode,
            unit: units.get(metricName) ?? metricName,
          },
        ];
      }),
    );
}
