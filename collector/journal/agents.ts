import type { Reach } from "../../infra/inventory.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { type Agent, agentRunBy } from "./agent.ts";
import { processVerbs } from "./process.ts";
import { sshVerbs } from "./ssh.ts";
import type { SshKey } from "./ssh-key.ts";

/**
 * Returns the agent of a node that is reached this way; `key` is the collector's own, null where it has none.
 * @throws ExplainedError where the way is SSH and there is no key.
 */
export function agentOf(reach: Reach, key: SshKey | null): Agent {
  switch (reach.kind) {
    case "process":
      return agentRunBy(processVerbs(reach.directory));
    case "ssh":
      if (key === null)
        throw new ExplainedError(
          "no-ssh-key",
          "It is reached by SSH, and the collector has no key.",
          "Set SSH_KEY to the file of its private key.",
        );
      return agentRunBy(sshVerbs(reach, key));
    default:
      return reach satisfies never;
  }
}
