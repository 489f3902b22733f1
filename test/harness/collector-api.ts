import type { GapItem, NodeItem, SampleItem, StateItem } from "../../collector/api/types.ts";

/** What a collector's API answers, whole lists at once. `url` is the page's address. */
export function apiAt(url: string) {
  const all = async <Item>(path: string): Promise<Item[]> => {
    const items: Item[] = [];
    for (let after: string | null = ""; after !== null; ) {
      const place: string = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
      const answer = await fetch(`${url}/api/v1/${path}${path.includes("?") ? "&" : "?"}limit=500${place}`);
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${text}`);
      const list = JSON.parse(text) as { items: Item[]; next: string | null };
      items.push(...list.items);
      after = list.next;
    }
    return items;
  };
  return {
    all,
    /** Every node there ever was, gone ones included. */
    nodes: () => all<NodeItem>("nodes"),
    live: async () => (await all<NodeItem>("nodes")).filter((node) => !node.gone),
    /** The lines of a node's journals, the oldest first. */
    samples: (key: string) => all<SampleItem>(`nodes/${key}/samples?order=asc`),
    states: (key: string) => all<StateItem>(`nodes/${key}/states`),
    gaps: (key: string) => all<GapItem>(`nodes/${key}/gaps`),
  };
}
export type Api = ReturnType<typeof apiAt>;
