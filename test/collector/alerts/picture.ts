import type { NodePicture, Picture } from "../../../collector/alerts/rules.ts";
import { plainLayers } from "../../../collector/inventory/workloads.ts";

/** A picture in which all is well, with `parts` of it as given. */
export function pictureWith(parts: Partial<Picture>): Picture {
  return {
    nodes: [],
    events: [],
    unread: [],
    runs: [],
    overdue: [],
    refusing: [],
    recovery: { braked: null, proposals: [] },
    fleet: null,
    ...parts,
  };
}

/** A node whose layers are well since `since`, with `layers` as given. */
export function nodeWith(key: string, since: Date, layers: NodePicture["layers"] = {}): NodePicture {
  const up = { value: "up", class: null, reason: "runs", since };
  return {
    key,
    power: "on",
    names: plainLayers,
    layers: {
      machine: up,
      runtime: up,
      app: up,
      verdict: { value: "Good", class: "good", reason: "told", since },
      reward: { value: "earning", class: null, reason: "its points grow", since },
      ...layers,
    },
  };
}
