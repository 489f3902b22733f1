import * as pulumi from "@pulumi/pulumi";
import { accounts } from "../../cloud-init/machine/layout.ts";
import type { Reach } from "../inventory.ts";
import type { Boot, NodeSpec } from "./provider.ts";

/** Returns the user data that a cloud's machine boots. Throws where a node boots another way, which no plan lets by. */
export function userDataOf(boot: Boot, node: NodeSpec): string {
  if (boot.kind !== "user-data")
    throw new Error(`${node.key} boots by ${boot.kind}, and a cloud's machine by user data.`);
  return boot.text;
}

/** Returns where a cloud's machine is. Throws where the plan gave no place, which it does for every node of a cloud. */
export function placementOf(node: NodeSpec): { readonly domain: string; readonly shape: string } {
  if (node.placement === null) throw new Error(`${node.key} has no placement.`);
  return node.placement;
}

/** Returns how a cloud's machine is reached at an address. Its host keys are known after first contact. */
export function sshReach(address: pulumi.Output<string>): pulumi.Output<Reach> {
  return address.apply((host): Reach => ({ kind: "ssh", host, port: 22, user: accounts.agent, hostKeys: [] }));
}

/** Returns a function that asks for each name once: nodes that want the same share one answer. */
export function once<Name, Value>(ask: (name: Name) => Value): (name: Name) => Value {
  const known = new Map<Name, Value>();
  return (name) => {
    const value = known.get(name) ?? ask(name);
    known.set(name, value);
    return value;
  };
}

/**
 * Returns the error that ends the program with one sentence. The SDK puts the name of each field that waits for an answer
 * before an error's message, and of a thousand nodes all wait for the same: this one keeps its sentence as it is.
 */
export function programEnd(sentence: string): pulumi.RunError {
  const error = new pulumi.RunError(sentence);
  return Object.defineProperty(error, "message", { get: () => sentence, set: () => undefined });
}

/**
 * Returns what a cloud answers, as an output. Where it refuses, the program ends with a sentence: that it could not learn
 * `what`, the cloud's own words, and what to check.
 */
export function asked<Answer>(
  answer: Promise<Answer>,
  what: string,
  check: string,
): pulumi.Output<pulumi.Unwrap<Answer>> {
  return pulumi.output(
    answer.catch((error: unknown) => {
      const words = error instanceof Error ? error.message : String(error);
      throw programEnd(`${what} could not be learned: ${words.trim().replace(/\.?$/, ".")} ${check}`);
    }),
  );
}
