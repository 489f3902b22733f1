import type { ProviderPreparation } from "../provider.ts";
import { facts } from "./facts.ts";
import { ensureImage } from "./machine/image.ts";

/** The image that virtual machines boot from takes minutes to build, once. */
export const preparation: ProviderPreparation = {
  provider: facts.name,
  name: "image of virtual machines",
  needed: (nodes) => nodes.some(({ options }) => facts.bootOf?.(facts.options.parse(options)).kind === "user-data"),
  async prepare(say, signal) {
    const { id } = await ensureImage({ say, ...(signal === undefined ? {} : { signal }) });
    return id;
  },
};
