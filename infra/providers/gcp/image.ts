import { getImage } from "@pulumi/gcp/compute/getImage.js";
import type { Provider } from "@pulumi/gcp/provider.js";
import type * as pulumi from "@pulumi/pulumi";
import { asked } from "../cloud-machine.ts";
import type { NodeSpec } from "../provider.ts";

const families = { x64: "ubuntu-2404-lts-amd64", arm64: "ubuntu-2404-lts-arm64" } as const;

/** Returns the newest Ubuntu 24.04 image for an architecture. Debian's images there have no cloud-init. */
export function newestImage(arch: NodeSpec["arch"], provider: Provider): pulumi.Output<string> {
  return asked(
    getImage({ family: families[arch], project: "ubuntu-os-cloud" }, { provider }),
    `The newest image of ${families[arch]}`,
    "Check `gcloud auth application-default login`, the project and that its Compute Engine API is on.",
  ).selfLink;
}
