import { z } from "zod";
import { ApiProblem } from "./problem.ts";

/** How many items a page holds unless asked otherwise, and at most. */
export const pageLimit = { usual: 100, most: 1_000 } as const;

const Limit = z
  .string()
  .regex(/^[0-9]{1,4}$/)
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= pageLimit.most)
  .optional()
  .describe(`Items on a page, 1 to ${pageLimit.most}; ${pageLimit.usual} when absent.`);

/** The query members of every list. */
export const paging = {
  after: z.string().max(500).optional().describe("The `next` of the page before."),
  limit: Limit,
};

/**
 * Returns the page that `query` asks for: `read` gets the place to go on from, undefined for the first page, and how many
 * rows to read; `place` is where the next page goes on after a row.
 * @throws ApiProblem when `after` was not given out by us.
 */
export async function readPage<Row, Item, Place extends readonly [string | number, ...(string | number)[]]>(
  query: { readonly after?: string | undefined; readonly limit?: number | undefined },
  Place: z.ZodType<Place>,
  read: (after: Place | undefined, count: number) => Promise<readonly Row[]>,
  item: (row: Row) => Item,
  place: (row: Row) => NoInfer<Place>,
): Promise<{ items: Item[]; next: string | null }> {
  const limit = query.limit ?? pageLimit.usual;
  // One more than the page holds tells whether there is a next one.
  const rows = await read(placeIn(query.after, Place), limit + 1);
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  const next = last === undefined ? null : Buffer.from(JSON.stringify(place(last))).toString("base64url");
  return { items: rows.slice(0, limit).map(item), next };
}

function placeIn<Place>(after: string | undefined, schema: z.ZodType<Place>): Place | undefined {
  if (after === undefined) return undefined;
  const result = schema.safeParse(jsonIn(Buffer.from(after, "base64url").toString("utf8")));
  if (result.success) return result.data;
  throw new ApiProblem(400, "bad-query", `after is ${JSON.stringify(after)}.`, "Give the next of the page before.");
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
