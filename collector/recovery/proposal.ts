/** What of a node's place in the stack config a proposal names. */
export interface ConfigPlace {
  readonly group: string;
  readonly slot: number;
  /** Nodes of the group in the inventory. */
  readonly groupSize: number;
  /** The group's machine revision in force; null where the inventory no longer has the node. */
  readonly machineRevision: number | null;
}

/**
 * Returns the change of the stack config that would give the node another machine, in words an operator can follow:
 * of a group of several the slot is retired, which touches that node alone; a group of one raises its machine revision.
 */
export function proposalFor({ group, slot, groupSize, machineRevision }: ConfigPlace): string {
  const path = `gradientlab:fleet.groups.${group}`;
  if (groupSize === 1 && machineRevision !== null) {
    return `Raise ${path}.revision.machine from ${machineRevision} to ${machineRevision + 1}: the machine of ${group}/${slot} is replaced, delete before create, and the node keeps its name. Then preview and apply the stack.`;
  }
  return `Add ${slot} to ${path}.retired: ${group}/${slot} is deleted, its slot is never used again, and a new slot of the group takes its place; what the network counts for the old identity stays there. Then preview and apply the stack.`;
}
