import type { CloudConfig } from "./cloud-config.ts";
import { checkedDocument } from "./document.ts";
import { accounts, places } from "./machine/layout.ts";

/** The collector's own machine: what it is before the collector is installed on it. */
export interface CollectorHostSpec {
  readonly hostname: string;
  readonly diskGib: number;
  /** The operator's public keys, in OpenSSH form. */
  readonly operatorKeys: readonly string[];
}

/**
 * Returns the document of the collector's own machine: the operator's account, SSH by key alone, and security updates.
 * SSH may forward ports, to the collector's page and to the nodes, whose jump host it can be.
 * Throws `BadInput` where cloud-init would not take it.
 */
export function collectorHostDocument({ hostname, diskGib, operatorKeys }: CollectorHostSpec): CloudConfig {
  const bytes = (diskGib >= 8 ? 2 : 1) * 1024 ** 3;
  const document: CloudConfig = {
    hostname,
    timezone: "Etc/UTC",
    ssh_pwauth: false,
    ssh_genkeytypes: ["ed25519"],
    disable_root: true,
    users: [
      {
        name: accounts.operator,
        gecos: "GradientLab operator",
        shell: "/bin/bash",
        lock_passwd: true,
        sudo: "ALL=(ALL) NOPASSWD:ALL",
      },
    ],
    write_files: [
      {
        path: `${places.authorizedKeys}/${accounts.operator}`,
        permissions: "0644",
        content: operatorKeys.map((key) => `${key.trim()}\n`).join(""),
      },
      {
        path: "/etc/ssh/sshd_config.d/00-gradientlab.conf",
        permissions: "0644",
        content: `AuthorizedKeysFile ${places.authorizedKeys}/%u
AllowUsers ${accounts.operator}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding local
PermitTunnel no
GatewayPorts no
`,
      },
      {
        path: "/etc/apt/apt.conf.d/52gradientlab",
        permissions: "0644",
        content: `APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-Time "04:30";
`,
      },
    ],
    swap: { filename: "/swapfile", size: bytes, maxsize: bytes },
    package_update: true,
    packages: ["ca-certificates", "curl", "git", "openssh-server", "sudo", "unattended-upgrades"],
    runcmd: [["systemctl", "try-restart", "ssh.service"]],
  };
  return checkedDocument(document);
}
