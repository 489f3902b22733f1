import { browserSources } from "./browser-sources.ts";
import type { CloudConfig } from "./cloud-config.ts";
import { checkedDocument, file, journalLimits, type MachineArch, type MachineOs } from "./document.ts";
import { collectorInstaller } from "./machine/collector-install.ts";
import { collectorFirewallRules } from "./machine/firewall.ts";
import { accounts, collectorPlaces, places } from "./machine/layout.ts";
import { browserInstall } from "./machine/programs.ts";
import { browserInstallUnit, firewallUnit } from "./machine/units.ts";

/** The collector's own machine: all that it is before a release is brought to it. */
export interface CollectorHostSpec {
  readonly hostname: string;
  readonly os: MachineOs;
  readonly arch: MachineArch;
  readonly diskGib: number;
  /** The operator's public keys, in OpenSSH form. */
  readonly operatorKeys: readonly string[];
  /** The text of the daemon's systemd unit. */
  readonly unit: string;
}

const installer = `${places.programs}/collector-install`;

/**
 * Returns the document of the collector's own machine: the daemon's account, folders and unit, a browser, and the program
 * through which the operator's command brings releases, keys and settings once the machine runs. None of those is in it.
 * SSH may forward ports, to the collector's page and to the nodes, whose jump host it can be.
 * Throws `BadInput` where cloud-init would not take it.
 */
export function collectorHostDocument({
  hostname,
  os,
  arch,
  diskGib,
  operatorKeys,
  unit,
}: CollectorHostSpec): CloudConfig {
  const bytes = (diskGib >= 8 ? 2 : 1) * 1024 ** 3;
  const [firewall, browser] = [firewallUnit(), browserInstallUnit()];
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
      {
        name: accounts.install,
        gecos: "GradientLab installer",
        shell: "/bin/sh",
        // One that is there: sshd would complain of another to whoever it lets in.
        homedir: "/",
        lock_passwd: true,
        system: true,
        no_create_home: true,
        sudo: `ALL=(root) NOPASSWD: ${installer}`,
      },
      {
        name: accounts.daemon,
        gecos: "GradientLab collector",
        shell: "/usr/sbin/nologin",
        homedir: collectorPlaces.state,
        lock_passwd: true,
        system: true,
        no_create_home: true,
      },
    ],
    write_files: [
      file(`${places.authorizedKeys}/${accounts.operator}`, lines(operatorKeys, "")),
      file(`${places.authorizedKeys}/${accounts.install}`, lines(operatorKeys, "restrict ")),
      file("/etc/ssh/sshd_config.d/00-gradientlab.conf", sshdConfig()),
      file("/etc/gradientlab/firewall.nft", collectorFirewallRules()),
      file("/etc/tmpfiles.d/gradientlab.conf", folders()),
      file("/etc/systemd/journald.conf.d/gradientlab.conf", journalLimits),
      // A kernel that has given up starts again by itself.
      file("/etc/sysctl.d/90-gradientlab.conf", "kernel.panic = 10\n"),
      file(
        "/etc/apt/apt.conf.d/52gradientlab",
        `APT::Install-Recommends "false";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::Origins-Pattern { "origin=Google LLC,suite=stable"; };
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-Time "04:30";
`,
      ),
      file(installer, collectorInstaller(), "0755"),
      file("/usr/local/bin/gradientlab", collectorCommands(), "0755"),
      file(`${places.programs}/browser-install`, browserInstall(browserSources[os][arch], [], null), "0755"),
      ...[firewall, browser].map(({ name, text }) => file(`${places.units}/${name}`, text)),
      file(`${places.units}/${collectorPlaces.unit}`, unit),
    ],
    swap: { filename: "/swapfile", size: bytes, maxsize: bytes },
    package_update: true,
    packages: [
      "ca-certificates",
      "curl",
      "gpg",
      "nftables",
      "openssh-server",
      "sudo",
      ...(os === "debian-12" ? ["systemd-timesyncd"] : []),
      "unattended-upgrades",
      "util-linux",
    ],
    runcmd: [
      ["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/gradientlab.conf"],
      ["sysctl", "--system"],
      // The daemon is enabled with its first release.
      ["systemctl", "enable", firewall.name, browser.name],
      ["systemctl", "try-restart", "systemd-journald.service"],
      ["systemctl", "try-restart", "ssh.service"],
      ["systemctl", "start", firewall.name],
      ["systemctl", "start", "--no-block", browser.name],
    ],
  };
  return checkedDocument(document);
}

function lines(keys: readonly string[], options: string): string {
  return keys.map((key) => `${options}${key.trim()}\n`).join("");
}

function sshdConfig(): string {
  return `AuthorizedKeysFile ${places.authorizedKeys}/%u
AllowUsers ${accounts.operator} ${accounts.install}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
HostKey /etc/ssh/ssh_host_ed25519_key
X11Forwarding no
AllowAgentForwarding no
PermitTunnel no
PermitUserEnvironment no
GatewayPorts no
AllowTcpForwarding local
Match User ${accounts.install}
  AllowTcpForwarding no
  PermitTTY no
  ForceCommand sudo -n ${installer} "$SSH_ORIGINAL_COMMAND"
Match all
`;
}

/** What root acts on lies in folders of root's, and the daemon's own is closed to all others. */
function folders(): string {
  const { settings, releases, state } = collectorPlaces;
  const { daemon } = accounts;
  return [
    `d ${settings} 0750 root root -\n`,
    `d ${releases} 0755 root root -\n`,
    `d ${state} 0700 ${daemon} ${daemon} -\n`,
    ...["networks", "spool"].map((name) => `d ${state}/${name} 0700 ${daemon} ${daemon} -\n`),
  ].join("");
}

/** Returns the program that runs a command of the release in use as the daemon's account, with what the daemon knows. */
function collectorCommands(): string {
  const { link, state, settings, unit } = collectorPlaces;
  return `#!/bin/sh
# Commands of the release in use: gradientlab backup --to /var/lib/gradientlab/backups/<name>
set -eu
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"
cd ${state}
exec systemd-run --quiet --pipe --wait --collect --uid=${accounts.daemon} --gid=${accounts.daemon} \\
  --property=EnvironmentFile=-${settings}/collector.env --setenv=GRADIENTLAB_HOME=${state} \\
  --property=UMask=0077 --working-directory=${state} --description="$(basename ${unit} .service) command" \\
  ${link}/node_modules/.bin/node ${link}/infra/commands/launch.mjs "$@"
`;
}
