import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { checkoutOf, homeOf } from "../home.ts";
import { budget } from "./budget.ts";
import { inventoryFile } from "./inventory-file.ts";
import type { Resource } from "./resource.ts";
import { serve } from "./server.ts";

/**
 * The plugin `gradientlab`: the resources that no cloud's plugin has. Those of a provider lie in its folder, in
 * `resources.ts`, compiled beside this file.
 */

const here = import.meta.dirname;
const load = createRequire(import.meta.url);

const { GRADIENTLAB_EXTRA, GRADIENTLAB_TABLE_SHOWN } = process.env;

const resources = new Map<string, Resource<never>>([
  [
    "gradientlab:index:Budget",
    budget(dirname(here), GRADIENTLAB_EXTRA, GRADIENTLAB_TABLE_SHOWN !== undefined) as Resource<never>,
  ],
  ["gradientlab:index:InventoryFile", inventoryFile as Resource<never>],
]);
const providers = join(here, "providers");
for (const name of readdirSync(providers)) {
  const file = join(providers, name, "resources.cjs");
  if (!existsSync(file)) continue;
  const own = (load(file) as { readonly resources: Readonly<Record<string, Resource<never>>> }).resources;
  for (const [type, resource] of Object.entries(own)) resources.set(type, resource);
}

const engine = process.argv.slice(2).find((word) => /^[^-].*:\d+$/.test(word));
serve({ resources, home: resolve(homeOf(checkoutOf(here))), engine: engine ?? null });
