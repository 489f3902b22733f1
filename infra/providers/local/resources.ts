import type { Resource } from "../../plugin/resource.ts";
import { machineNode } from "./resources/machine-node.ts";
import { practiceNetwork } from "./resources/practice-network.ts";
import { processNode } from "./resources/process-node.ts";

/** The resources of this provider that our own plugin makes, by type. */
export const resources = {
  "gradientlab:index:MachineNode": machineNode as Resource<never>,
  "gradientlab:index:PracticeNetwork": practiceNetwork as Resource<never>,
  "gradientlab:index:ProcessNode": processNode as Resource<never>,
};
