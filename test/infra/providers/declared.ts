import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import { deserializeProperties, disconnect, getMonitor, setMocks } from "@pulumi/pulumi/runtime/index.js";
import { cloudAnswers } from "../../harness/cloud-answers.ts";

/** One resource as the engine is told of it. */
export interface Declared {
  readonly type: string;
  readonly name: string;
  readonly parent: string;
  readonly custom: boolean;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** What is made before it, as kinds and names. */
  readonly dependsOn: readonly string[];
  readonly options: {
    readonly ignoreChanges: readonly string[];
    readonly replaceOnChanges: readonly string[];
    readonly replacementTrigger: unknown;
    readonly deleteBeforeReplace: boolean;
    readonly protect: boolean;
    readonly provider: string;
  };
}

/** What a machine has once it is made, by the names of all clouds. */
function made(name: string): Record<string, unknown> {
  const address = `192.0.2.${[...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 250, 7)}`;
  return {
    publicIp: address,
    ipAddress: address,
    vmId: `vm-${name}`,
    instanceId: `instance-${name}`,
    machineId: `machine-${name}`,
    reach: { kind: "process", directory: `/nodes/${name}` },
    origin: "http://127.0.0.1:1",
    extensionId: "aaaabbbbccccddddeeeeffffgggghhhh",
    extensionVersion: "1.0.0",
  };
}

/**
 * Runs what declares resources against an engine that makes them at once, and returns all that it was told, in the order
 * of their names, with what `declare` returned. One at a time: the SDK has one engine for a process.
 */
export async function declaredBy<Outputs>(
  declare: () => Outputs,
): Promise<{ readonly resources: readonly Declared[]; readonly outputs: Outputs }> {
  await setMocks(
    {
      newResource: ({ name, inputs, custom, type }) => ({
        id: custom === false ? undefined : `${type.split(":").at(-1)}-${name}`,
        state: {
          ...inputs,
          ...made(name),
          ...(Array.isArray(inputs.networkInterfaces)
            ? { networkInterfaces: [{ accessConfigs: [{ natIp: made(name).publicIp }] }] }
            : {}),
        },
      }),
      call({ token, inputs }) {
        const answer = cloudAnswers[token];
        if (answer === undefined) throw new Error(`nobody answers ${token}`);
        return answer(inputs) as Record<string, unknown>;
      },
    },
    "gradientlab",
    "dev",
  );
  const monitor = getMonitor() as unknown as {
    registerResource(request: RegisterResourceRequest, answer: unknown): Promise<void>;
    registerErrorHook(request: unknown, answer: (error: null) => void): void;
  };
  // The SDK's own stand-in for an engine says that it takes them, and does not.
  monitor.registerErrorHook = (_request, answer) => answer(null);
  const resources: Declared[] = [];
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, answer) => {
    resources.push({
      type: request.getType(),
      name: request.getName(),
      parent: request.getParent().split("::").slice(2).join("::"),
      custom: request.getCustom(),
      inputs: deserializeProperties(request.getObject() as never) as Readonly<Record<string, unknown>>,
      dependsOn: request.getDependenciesList().map((urn) => {
        const [, , type = "", name = ""] = urn.split("::");
        return `${type.split(":").at(-1)} ${name}`;
      }),
      options: {
        ignoreChanges: request.getIgnorechangesList(),
        replaceOnChanges: request.getReplaceonchangesList(),
        replacementTrigger: request.getReplacementTrigger()?.toJavaScript(),
        deleteBeforeReplace: request.getDeletebeforereplace(),
        protect: request.getProtect() ?? false,
        provider: request.getProvider().split("::").at(-2) ?? "",
      },
    });
    return register(request, answer);
  };
  const outputs = declare();
  await settled(outputs);
  await disconnect();
  return { resources: resources.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1)), outputs };
}

/** Returns what tells a resource from every other. */
export function idOf({ type, name }: Declared): string {
  return `${type} ${name}`;
}

/** Waits for every output, so that what one of them throws is thrown here. */
async function settled(outputs: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const all = pulumi.output(outputs) as unknown as { promise(): Promise<unknown> };
    all.promise().then(resolve, reject);
  });
}
