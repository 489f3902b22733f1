import { getImages } from "@pulumi/oci/core/getImages.js";
import type { Provider } from "@pulumi/oci/provider.js";
import type * as pulumi from "@pulumi/pulumi";
import { asked, programEnd } from "../cloud-machine.ts";

const system = { operatingSystem: "Canonical Ubuntu", operatingSystemVersion: "24.04" } as const;

/**
 * Returns the newest Ubuntu 24.04 image that Oracle has for a shape, and so for its architecture. Oracle answers an
 * empty list where it has none, without an error: the program then stops with a sentence that says so.
 */
export function newestImage(
  shape: string,
  compartmentId: string,
  region: string,
  provider: Provider,
): pulumi.Output<string> {
  const found = asked(
    getImages({ ...system, compartmentId, shape, sortBy: "TIMECREATED", sortOrder: "DESC" }, { provider }),
    `The newest image for ${shape} in ${region}`,
    "Check ~/.oci/config, the tenancy's OCID and that its user may read images.",
  );
  return found.apply(({ images }) => firstOf(images, shape, region));
}

/** Returns the id of the first image. Throws the program's end, as a sentence, where there is none. */
export function firstOf(images: readonly { readonly id: string }[], shape: string, region: string): string {
  const [newest] = images;
  if (newest === undefined)
    throw programEnd(
      `Oracle Cloud lists no image of ${system.operatingSystem} ${system.operatingSystemVersion} for the shape ${shape} in ${region}. Choose another size or region, and check that the account may read images.`,
    );
  return newest.id;
}
