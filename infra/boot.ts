import { collectorHostDocument } from "../cloud-init/collector-host.ts";
import { asUserData, encodeUserData, type MachineOs, nodeDocument } from "../cloud-init/document.ts";
import type { AccessKeys } from "../cloud-init/machine/ssh.ts";
import { asScript } from "../cloud-init/script.ts";
import type { WorkloadDescriptor } from "../cloud-init/workloads/descriptor.ts";
import { type Problem, quoted } from "./problem.ts";
import type { Boot, BootKind, NodeSpec, ProviderFacts } from "./providers/provider.ts";

/** What machines are made from, beside their specification. */
export interface BootParts {
  /** The public keys that machines let in. */
  readonly keys: AccessKeys;
  /** Returns the agent's program; asked for only where a machine needs it. */
  readonly agent: () => string;
  /** Returns the text of the collector's systemd unit; asked for only where the collector has a machine of its own. */
  readonly collectorUnit: () => string;
}

/** Everything that decides how one group's nodes boot. */
export interface BootOf {
  readonly facts: ProviderFacts;
  readonly descriptor: WorkloadDescriptor;
  readonly parts: BootParts;
}

/** Returns how machines with these options boot, and their operating system: as the provider's facts say. */
export function bootChoice(
  facts: ProviderFacts,
  options: Readonly<Record<string, unknown>>,
): { readonly kind: BootKind | undefined; readonly os: NodeSpec["os"] } {
  const [kind] = facts.traits.boot;
  const [os = "host"] = facts.traits.os;
  return facts.bootOf?.(options) ?? { kind, os };
}

const processBoots = new WeakMap<WorkloadDescriptor, Boot>();

/**
 * Returns the boot of one node: processes as its workload describes them (one value for all nodes of a workload), or a
 * document for a machine, as user data or as a script. Call it when the boot is needed: a document is some 80 kB.
 * Throws as `nodeDocument` does, and where `bootProblems` has something to say.
 */
export function bootOf(spec: NodeSpec, { facts, descriptor, parts }: BootOf): Boot {
  const { kind } = bootChoice(facts, spec.options);
  if (kind === "process") {
    const { process, probes, heartbeatStaleSeconds } = descriptor;
    const boot = processBoots.get(descriptor) ?? {
      kind,
      ...process,
      probes,
      ...(heartbeatStaleSeconds === undefined ? {} : { heartbeatStaleSeconds }),
    };
    processBoots.set(descriptor, boot);
    return boot;
  }
  const { machine } = descriptor;
  if (kind === undefined || machine === undefined || !isMachineOs(spec.os))
    throw new Error(`${spec.key} cannot boot: the plan should have been refused.`);
  const document = nodeDocument({
    key: spec.key,
    os: spec.os,
    arch: spec.arch,
    diskGib: spec.diskGib,
    revision: spec.revision,
    everySeconds: typeof spec.options.everySeconds === "number" ? spec.options.everySeconds : 300,
    workload: { ...descriptor, machine },
    keys: parts.keys,
    agent: parts.agent(),
  });
  return kind === "ssh" ? { kind, script: asScript(document) } : { kind, text: asUserData(document) };
}

/**
 * Returns why nodes like `sample`, the longest-named of its architecture in a group, cannot boot: processes for another
 * architecture than `arch`, this machine's, a workload that is described for another kind of boot than the provider has,
 * keys that are missing, a document over the provider's limit.
 */
export function bootProblems(
  sample: NodeSpec | undefined,
  path: string,
  arch: NodeSpec["arch"],
  { facts, descriptor, parts }: BootOf,
): Problem[] {
  const problem = (at: string, value: unknown, message: string, fix: string): Problem => ({
    path: at,
    value: value === undefined ? undefined : quoted(value),
    message: `${at} ${message}`,
    fix,
  });
  const { kind, os } = bootChoice(facts, sample?.options ?? {});
  if (sample === undefined) return [];
  if (kind === "process")
    return sample.arch === arch
      ? []
      : [
          problem(
            `${path}.size`,
            sample.size,
            `is ${quoted(sample.size)}, a machine of ${sample.arch}, and processes run on this one's ${arch}.`,
            "Choose another size, or virtual machines where the provider has an option for them.",
          ),
        ];
  if (descriptor.machine === undefined)
    return [
      problem(
        `${path}.provider`,
        facts.name,
        `is ${quoted(facts.name)}, whose machines boot by ${kind}, and the workload ${descriptor.name} is described for processes only.`,
        "Choose a provider that runs nodes as processes.",
      ),
    ];
  if (kind === undefined || !isMachineOs(os))
    return [
      problem(
        `${path}.provider`,
        facts.name,
        `is ${quoted(facts.name)}, which has no way to boot a node.`,
        "Choose another provider.",
      ),
    ];
  const missing = (["operator", "collector"] as const)
    .filter((name) => parts.keys[name].length === 0)
    .map((name) =>
      problem(
        `gradientlab:fleet.access.keys.${name}`,
        undefined,
        `is missing, and the machines would let no ${name} in.`,
        `Add the public key to access.keys.${name}.`,
      ),
    );
  const { bootLimitBytes, userData = "plain" } = facts.traits;
  if (missing.length > 0 || kind !== "user-data" || bootLimitBytes === null) return missing;
  const boot = bootOf(sample, { facts, descriptor, parts });
  const bytes = boot.kind === "user-data" ? Buffer.byteLength(encodeUserData(boot.text, userData)) : 0;
  if (bytes <= bootLimitBytes) return [];
  return [
    problem(
      `${path}.workload`,
      descriptor.name,
      `is ${quoted(descriptor.name)}, whose boot document takes ${bytes} bytes, and ${facts.name} takes ${bootLimitBytes}.`,
      "Name fewer or shorter keys in access.keys, or choose another provider.",
    ),
  ];
}

/** Returns the boot of the collector's own machine. */
export function collectorHostBoot(spec: NodeSpec, { keys, collectorUnit }: BootParts): Boot {
  if (!isMachineOs(spec.os)) throw new Error("The collector's machine cannot boot: the plan should have been refused.");
  const document = collectorHostDocument({
    hostname: `gl-${spec.key}`,
    os: spec.os,
    arch: spec.arch,
    diskGib: spec.diskGib,
    operatorKeys: keys.operator,
    unit: collectorUnit(),
  });
  return { kind: "user-data", text: asUserData(document) };
}

/** Returns why the collector's own machine would let nobody in. */
export function collectorHostProblems({ keys }: BootParts): Problem[] {
  if (keys.operator.length > 0) return [];
  const path = "gradientlab:fleet.access.keys.operator";
  const message = `${path} is missing, and the machines would let no operator in.`;
  return [{ path, value: undefined, message, fix: "Add the public key to access.keys.operator." }];
}

function isMachineOs(os: NodeSpec["os"]): os is MachineOs {
  return os !== "host";
}
