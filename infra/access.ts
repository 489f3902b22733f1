import { isIPv4 } from "node:net";
import type { Fleet } from "./stack-config.ts";

/** Who may reach the nodes' machines, as the config says. */
export type Access = NonNullable<Fleet["access"]>;

/**
 * Returns the ranges of IPv4 addresses that may reach SSH, sorted, each once: those of `sshFrom`, and the jump host where
 * the config names it by its address. Machines have IPv4 addresses only.
 */
export function sshRanges(access: Access | null | undefined): string[] {
  const { sshFrom = [], jump } = access ?? {};
  return [...new Set([...sshFrom, ...(jump !== undefined && isIPv4(jump.host) ? [`${jump.host}/32`] : [])])].toSorted();
}
