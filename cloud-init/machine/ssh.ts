import { accounts, places, ports } from "./layout.ts";

/** Public keys in OpenSSH form that a machine lets in. */
export interface AccessKeys {
  readonly operator: readonly string[];
  readonly collector: readonly string[];
}

/** The words that the collector's key runs, whatever it asks for; the agent reads what it asked for and judges it. */
const forced = `/usr/bin/node --max-semi-space-size=1 ${places.agent} ssh`;

/**
 * Returns the authorized keys of each account, as texts by account name. The operator's key is whole; the same key on
 * the enrolment account can only forward to the debugging endpoint, and the collector's can only run the agent.
 * Source of the options: sshd(8), AUTHORIZED_KEYS FILE FORMAT; `restrict` switches off all that is not named.
 */
export function authorizedKeys({ operator, collector }: AccessKeys): Readonly<Record<string, string>> {
  const lines = (options: string, keys: readonly string[]): string =>
    keys.map((key) => `${options}${key.trim()}\n`).join("");
  return {
    [accounts.operator]: lines("", operator),
    [accounts.agent]: lines(`restrict,command="${forced}" `, collector),
    [accounts.enrol]: lines(
      `restrict,port-forwarding,permitopen="127.0.0.1:${ports.debugging}",command="/usr/sbin/nologin" `,
      operator,
    ),
  };
}

/**
 * Returns the server's settings. sshd takes the first value it meets, so the file's name sorts before the
 * distribution's and cloud-init's own. Keys are looked for in a folder of root's only: no account can add one to itself.
 */
export function sshdConfig(): string {
  return `AuthorizedKeysFile ${places.authorizedKeys}/%u
AllowUsers ${accounts.operator} ${accounts.agent} ${accounts.enrol}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
MaxAuthTries 3
LoginGraceTime 30
ClientAliveInterval 60
ClientAliveCountMax 3
X11Forwarding no
AllowAgentForwarding no
PermitTunnel no
PermitUserEnvironment no
GatewayPorts no
AllowStreamLocalForwarding no
Match User ${accounts.agent}
  AllowTcpForwarding no
  PermitTTY no
  ForceCommand ${forced}
Match User ${accounts.enrol}
  AllowTcpForwarding local
  PermitOpen 127.0.0.1:${ports.debugging}
  PermitTTY no
  ForceCommand /usr/sbin/nologin
Match User ${accounts.operator}
  AllowTcpForwarding local
Match all
`;
}
