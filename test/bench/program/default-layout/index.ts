// What the usual project template gives: root imports of the clouds' SDKs, compiled by ts-node at every run.
import * as azure from "@pulumi/azure-native";
import * as gcp from "@pulumi/gcp";
import * as oci from "@pulumi/oci";
import * as pulumi from "@pulumi/pulumi";

export const clouds = [azure.compute.VirtualMachine, gcp.compute.Instance, oci.core.Instance].length;

class Usual extends pulumi.CustomResource {}

for (let slot = 0; slot < Number(process.env.COUNT); slot++)
  new Usual("gradientlab:index:ProcessNode", `default/${slot}`, { key: `default/${slot}` });
