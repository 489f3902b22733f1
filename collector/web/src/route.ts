/** What the address's hash asks to see: the whole fleet, or one node. */
export type Route = { readonly view: "fleet" } | { readonly view: "node"; readonly key: string };

const nodeHash = /^#\/nodes\/([a-z][a-z0-9-]{0,19}\/(?:0|[1-9][0-9]*))$/;

/** Returns what `hash` (as in `location.hash`) asks for; a hash that names nothing is the fleet. */
export function routeOf(hash: string): Route {
  const key = nodeHash.exec(hash)?.[1];
  return key === undefined ? { view: "fleet" } : { view: "node", key };
}

/** Returns the hash of a route. */
export function hashOf(route: Route): string {
  return route.view === "node" ? `#/nodes/${route.key}` : "#/";
}
