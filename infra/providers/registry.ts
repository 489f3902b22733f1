import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { PriceList } from "../price-list.ts";
import type { ProviderDeclare, ProviderFacts, ProviderPreparation } from "./provider.ts";

// Loaded at once, not by import(): a program that declares resources after it gave up its turn is slower to start.
const load = createRequire(import.meta.url);

/** The providers that were found. `declare` loads a provider's own module, and so its SDK, at the first call. */
export interface Providers {
  readonly facts: ReadonlyMap<string, ProviderFacts>;
  declare(name: string): ProviderDeclare;
  /** Returns what a provider makes ready beforehand, where it has something; found beside the sources only. */
  preparation(name: string): ProviderPreparation | undefined;
  /** Returns a provider's own price list; undefined where it has none, because it sells nothing. Sources only have it. */
  priceList(name: string): PriceList | undefined;
}

/**
 * Returns the providers below `program`, the folder of the program as sources or compiled, and below `extra`, the
 * folder that `GRADIENTLAB_EXTRA` adds: one for each folder `providers/<name>` with a file `facts`.
 */
export function findProviders(program: string, extra: string | undefined): Providers {
  const facts = new Map<string, ProviderFacts>();
  const folders = new Map<string, string>();
  for (const parent of [program, ...(extra ? [extra] : [])].map((root) => join(root, "providers")))
    for (const name of existsSync(parent) ? readdirSync(parent).toSorted() : []) {
      const file = moduleIn(join(parent, name), "facts");
      if (file === undefined) continue;
      facts.set(name, (load(file) as { readonly facts: ProviderFacts }).facts);
      folders.set(name, join(parent, name));
    }
  return {
    facts,
    declare(name) {
      const file = moduleIn(folders.get(name) ?? "", "declare");
      if (file === undefined) throw new Error(`The provider ${name} has no file "declare" beside its facts.`);
      return (load(file) as { readonly declarations: ProviderDeclare }).declarations;
    },
    preparation(name) {
      const file = moduleIn(folders.get(name) ?? "", "prepare");
      return file === undefined ? undefined : (load(file) as { readonly preparation: ProviderPreparation }).preparation;
    },
    priceList(name) {
      const file = moduleIn(folders.get(name) ?? "", "prices");
      return file === undefined ? undefined : (load(file) as { readonly priceList: PriceList }).priceList;
    },
  };
}

function moduleIn(folder: string, role: string): string | undefined {
  return ["js", "cjs", "ts"].map((ending) => join(folder, `${role}.${ending}`)).find((file) => existsSync(file));
}
