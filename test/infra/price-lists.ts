import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * The two public price lists as a server on this machine, behind the addresses that they have: Oracle's cost estimator
 * list, and Azure's Retail Prices API with filters that tell capitals from small letters, prices that are not asked for
 * beside those that are, and pages whose links name the port (both as their documentation shows them).
 */

/** One price of Azure's list, with the fields of the documented answer that decide what it is. */
export interface AzureItem {
  readonly serviceName: string;
  readonly productName: string;
  readonly skuName: string;
  readonly meterName: string;
  readonly armSkuName?: string;
  readonly armRegionName: string;
  readonly retailPrice: unknown;
  readonly unitOfMeasure: string;
  readonly tierMinimumUnits?: number;
  readonly type?: string;
}

/** One part of Oracle's list. */
export interface OraclePart {
  readonly partNumber: string;
  readonly displayName: string;
  readonly metricName: string;
  /** Values by tier, the free one first where there is one. */
  readonly tiers: readonly unknown[];
}

/** An answer in place of the next one. */
interface Instead {
  readonly host: string;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface PriceLists {
  readonly azure: AzureItem[];
  readonly oracle: OraclePart[];
  /** The most records of one page; the real one's is 1,000. */
  page: number;
  /** What is answered in place of the next requests, in order. */
  readonly instead: Instead[];
  /** The addresses that were asked. */
  readonly asked: string[];
  readonly fetch: typeof globalThis.fetch;
  close(): Promise<void>;
}

const hosts = ["prices.azure.com", "apexapps.oracle.com"];

/** Starts the lists, empty. Any other address than theirs cannot be reached. */
export async function startPriceLists(): Promise<PriceLists> {
  const lists = {
    azure: [] as AzureItem[],
    oracle: [] as OraclePart[],
    page: 1000,
    instead: [] as Instead[],
    asked: [] as string[],
  };
  const server = createServer((request, response) => {
    const host = String(request.headers["x-host"]);
    const address = new URL(request.url ?? "/", `https://${host}`);
    lists.asked.push(decodeURIComponent(address.href));
    const send = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): void => {
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
    };
    const instead = lists.instead.findIndex((each) => each.host === host);
    const [answer] = instead === -1 ? [] : lists.instead.splice(instead, 1);
    if (answer !== undefined) return send(answer.status, answer.body ?? "", answer.headers);
    if (host === "apexapps.oracle.com") return send(200, JSON.stringify(oracleAnswer(lists.oracle, address)));
    const page = azureAnswer(lists.azure, address, lists.page);
    send(
      page === null ? 400 : 200,
      JSON.stringify(page ?? { Error: { Code: "BadRequest", Message: "Invalid OData parameters supplied" } }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(lists, {
    fetch: (async (input: string, init?: RequestInit) => {
      const { hostname, protocol, pathname, search } = new URL(input);
      if (protocol !== "https:" || !hosts.includes(hostname))
        throw new TypeError("fetch failed", { cause: new Error(`getaddrinfo ENOTFOUND ${hostname}`) });
      const headers = { ...(init?.headers as Record<string, string>), "x-host": hostname };
      return fetch(`http://127.0.0.1:${port}${pathname}${search}`, { ...init, headers });
    }) as typeof globalThis.fetch,
    close: () => closed(server),
  });
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function oracleAnswer(parts: readonly OraclePart[], address: URL): unknown {
  if (address.pathname !== "/pls/apex/cetools/api/v1/products/") return { items: [] };
  const currencyCode = address.searchParams.get("currencyCode") ?? "USD";
  return {
    lastUpdated: "2026-11-20T15:45:07.573Z",
    items: parts.map(({ tiers, ...part }) => ({
      ...part,
      serviceCategory: "Compute - Virtual Machine",
      currencyCodeLocalizations: [
        {
          currencyCode,
          prices: tiers.map((value, tier) => ({
            model: "PAY_AS_YOU_GO",
            value,
            ...(tiers.length === 1 ? {} : { rangeMin: tier * 3000, rangeMax: tier === 0 ? 3000 : 999_999_999_999_999 }),
          })),
        },
      ],
    })),
  };
}

function azureAnswer(items: readonly AzureItem[], address: URL, size: number): unknown {
  const filter = address.searchParams.get("$filter") ?? "";
  const clauses = filter.split(" and ").map((clause) => /^(\w+) eq '((?:[^']|'')*)'$/.exec(clause));
  if (address.pathname !== "/api/retail/prices" || clauses.some((clause) => clause === null)) return null;
  const currencyCode = /^'(\w{3})'$/.exec(address.searchParams.get("currencyCode") ?? "'USD'")?.[1];
  if (currencyCode === undefined) return null;
  const found = items
    .map((item) => ({ type: "Consumption", tierMinimumUnits: 0, armSkuName: "", ...item }))
    .filter((item) =>
      clauses.every((clause) => {
        const [, field = "", value = ""] = clause ?? [];
        return item[(field === "priceType" ? "type" : field) as keyof AzureItem] === value.replaceAll("''", "'");
      }),
    );
  const skip = Number(address.searchParams.get("$skip") ?? 0);
  const next = new URL(address);
  next.searchParams.set("$skip", String(skip + size));
  return {
    BillingCurrency: currencyCode,
    CustomerEntityId: "Default",
    CustomerEntityType: "Retail",
    Items: found.slice(skip, skip + size).map((item) => ({
      currencyCode,
      unitPrice: item.retailPrice,
      location: item.armRegionName,
      effectiveStartDate: "2026-01-01T00:00:00Z",
      meterId: `meter-${item.productName}`,
      serviceFamily: "Compute",
      isPrimaryMeterRegion: true,
      ...item,
    })),
    NextPageLink: skip + size < found.length ? next.href.replace(next.host, `${next.host}:443`) : null,
    Count: Math.min(size, Math.max(0, found.length - skip)),
  };
}
