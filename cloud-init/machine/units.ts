import type { MachineUnit } from "../workloads/descriptor.ts";
import { accounts, places, ports, serviceOf } from "./layout.ts";

/** A systemd unit file by its name. */
export interface UnitFile {
  readonly name: string;
  readonly text: string;
  /** Whether the machine starts it at boot. */
  readonly enabled: boolean;
}

type Section = readonly (readonly [key: string, value: string])[];

function unitFile(name: string, sections: Readonly<Record<string, Section>>): UnitFile {
  const text = Object.entries(sections)
    .map(([title, lines]) => `[${title}]\n${lines.map(([key, value]) => `${key}=${value}\n`).join("")}`)
    .join("\n");
  return { name, text, enabled: "Install" in sections };
}

const agent = `/usr/bin/node --max-semi-space-size=1 ${places.agent}`;

/**
 * A service of the agent: it writes in the node's folder and nowhere else. Where root has filled the disk to the last block
 * that is kept for root, what the journal gives back of its reserve is given to no other account without the right to it.
 */
const asAgent = (...rights: readonly string[]): Section => [
  ["User", accounts.agent],
  ["Group", accounts.agent],
  ["SupplementaryGroups", "systemd-journal"],
  ["Environment", "GRADIENTLAB_SUPERVISED=1"],
  ["NoNewPrivileges", "yes"],
  ["ProtectSystem", "strict"],
  ["ReadWritePaths", places.node],
  ["ProtectHome", "yes"],
  ["AmbientCapabilities", ["CAP_SYS_RESOURCE", ...rights].join(" ")],
  ["CapabilityBoundingSet", ["CAP_SYS_RESOURCE", ...rights].join(" ")],
  ["MemoryMax", "160M"],
  // On the smallest machines a boot leaves a program that starts for half a second elsewhere a hundredth of a processor.
  ["TimeoutStartSec", "300"],
];

/** Returns the unit that loads the firewall's rules before the network is there. */
export function firewallUnit(): UnitFile {
  return unitFile("gradientlab-firewall.service", {
    Unit: [
      ["Description", "GradientLab firewall"],
      ["DefaultDependencies", "no"],
      ["After", "local-fs.target nss-user-lookup.target"],
      ["Before", "network-pre.target shutdown.target"],
      ["Wants", "network-pre.target"],
      ["Conflicts", "shutdown.target"],
    ],
    Service: [
      ["Type", "oneshot"],
      ["RemainAfterExit", "yes"],
      ["ExecStart", "/usr/sbin/nft -f /etc/gradientlab/firewall.nft"],
      ["ExecReload", "/usr/sbin/nft -f /etc/gradientlab/firewall.nft"],
    ],
    Install: [["WantedBy", "sysinit.target"]],
  });
}

/** Returns the units that every machine has: journal, verbs, firewall, compressed swap, status page. */
export function machineUnits(everySeconds: number): UnitFile[] {
  return [
    firewallUnit(),
    unitFile("gradientlab-zram.service", {
      Unit: [["Description", "GradientLab compressed swap in memory"]],
      Service: [
        ["Type", "oneshot"],
        ["RemainAfterExit", "yes"],
        ["ExecStart", `${places.programs}/zram-swap`],
      ],
      Install: [["WantedBy", "swap.target"]],
    }),
    unitFile("gradientlab-boot.service", {
      Unit: [
        ["Description", "GradientLab journal: the machine booted"],
        ["After", "local-fs.target systemd-tmpfiles-setup.service"],
      ],
      Service: [["Type", "oneshot"], ["RemainAfterExit", "yes"], ["ExecStart", `${agent} hook boot`], ...asAgent()],
      Install: [["WantedBy", "multi-user.target"]],
    }),
    unitFile("gradientlab-event@.service", {
      Unit: [
        ["Description", "GradientLab journal: %i"],
        ["After", "gradientlab-boot.service"],
      ],
      Service: [["Type", "oneshot"], ["ExecStart", `${agent} hook %i`], ...asAgent()],
    }),
    unitFile("gradientlab-agent.service", {
      Unit: [
        ["Description", "GradientLab journal: one sample"],
        ["After", "gradientlab-boot.service"],
      ],
      Service: [
        ["Type", "oneshot"],
        ["ExecStart", `${agent} sample`],
        ["Nice", "5"],
        // The proportional memory of another account's processes is shown to whoever may trace them.
        ...asAgent("CAP_SYS_PTRACE"),
      ],
    }),
    unitFile("gradientlab-agent.timer", {
      Unit: [["Description", "GradientLab journal: samples"]],
      Timer: [
        // What the machine runs has the processor to itself while it starts.
        ["OnActiveSec", "20"],
        ["OnUnitActiveSec", String(everySeconds)],
        ["AccuracySec", "1"],
      ],
      Install: [["WantedBy", "timers.target"]],
    }),
    unitFile("gradientlab-act.path", {
      Unit: [["Description", "GradientLab: something is asked for"]],
      Path: [["DirectoryNotEmpty", `${places.node}/actions`]],
      Install: [["WantedBy", "multi-user.target"]],
    }),
    unitFile("gradientlab-act.service", {
      Unit: [
        ["Description", "GradientLab: what is asked for"],
        // Also once at boot: a reboot that was asked for is done only then.
        ["ConditionDirectoryNotEmpty", `|${places.node}/actions`],
        ["ConditionPathExistsGlob", `|${places.node}/done/*.begun.json`],
        ["StartLimitIntervalSec", "0"],
      ],
      Service: [
        ["Type", "oneshot"],
        ["ExecStart", `${agent} act`],
        ["Environment", "GRADIENTLAB_SUPERVISED=1"],
        ["ProtectSystem", "strict"],
        ["ReadWritePaths", places.node],
        ["ProtectHome", "yes"],
        ["TimeoutStartSec", "180"],
      ],
      Install: [["WantedBy", "multi-user.target"]],
    }),
    unitFile("gradientlab-status.socket", {
      Unit: [["Description", "GradientLab status page, for the operator's tunnel"]],
      Socket: [
        ["ListenStream", `127.0.0.1:${ports.status}`],
        ["Accept", "yes"],
        ["MaxConnections", "4"],
      ],
      Install: [["WantedBy", "sockets.target"]],
    }),
    unitFile("gradientlab-status@.service", {
      Unit: [
        ["Description", "GradientLab status page"],
        ["CollectMode", "inactive-or-failed"],
      ],
      Service: [
        ["ExecStart", `${places.programs}/status-page`],
        ["StandardInput", "socket"],
        ["StandardOutput", "socket"],
        ["StandardError", "journal"],
        ["User", accounts.agent],
        ["NoNewPrivileges", "yes"],
        ["ProtectSystem", "strict"],
        ["ProtectHome", "yes"],
        ["PrivateNetwork", "yes"],
        ["RuntimeMaxSec", "20"],
      ],
    }),
  ];
}

/** Returns the unit that finds or installs the browser; it tries again until one is there. */
export function browserInstallUnit(): UnitFile {
  return unitFile("gradientlab-browser-install.service", {
    Unit: [
      ["Description", "GradientLab: a browser"],
      ["After", "network-online.target"],
      ["Wants", "network-online.target"],
      ["ConditionPathExists", `!${places.browser}`],
      ["StartLimitIntervalSec", "0"],
    ],
    Service: [
      ["Type", "exec"],
      ["ExecStart", `${places.programs}/browser-install`],
      ["Restart", "on-failure"],
      ["RestartSec", "300"],
      ["TimeoutStartSec", "infinity"],
    ],
    Install: [["WantedBy", "multi-user.target"]],
  });
}

/**
 * Returns the units of one service of the workload: the service itself, and the timer that recycles it. The browser keeps
 * its own sandbox, which takes user namespaces or a set-uid helper: nothing here may imply NoNewPrivileges.
 */
export function workloadUnits(unit: MachineUnit, needsBrowser: boolean): UnitFile[] {
  const service = serviceOf(unit.name);
  const words = unit.exec.map((word) =>
    systemdWord(word.replaceAll("{node}", places.node).replaceAll("{browser}", places.browser)),
  );
  const recycle = `gradientlab-recycle-${unit.name}`;
  return [
    unitFile(service, {
      Unit: [
        ["Description", `GradientLab workload: ${unit.name}`],
        ["After", "network-online.target gradientlab-firewall.service"],
        ["Wants", "network-online.target"],
        ["Requires", "gradientlab-firewall.service"],
        ...(needsBrowser ? ([["ConditionPathExists", places.browser]] as const) : []),
        ["StartLimitIntervalSec", "0"],
      ],
      Service: [
        ["Type", "exec"],
        ["User", accounts.browser],
        ["Group", accounts.browser],
        ["WorkingDirectory", `${places.node}/profile`],
        ["Environment", `HOME=${places.node}/profile`],
        // Whoever they speak of is dead: systemd runs one at a time.
        ["ExecStartPre", `/bin/rm -f SingletonLock SingletonCookie SingletonSocket DevToolsActivePort`],
        [
          "ExecStartPre",
          `/bin/sh -c '[ -s gradientlab-profile ] || cat /proc/sys/kernel/random/uuid > gradientlab-profile; install -m 0644 gradientlab-profile ${places.profileMark}'`,
        ],
        ["RuntimeDirectory", "gradientlab-browser"],
        ["RuntimeDirectoryMode", "0755"],
        ["RuntimeDirectoryPreserve", "yes"],
        ["ExecStart", words.join(" ")],
        ["ExecStartPost", `+/bin/systemctl start --no-block gradientlab-event@started:${unit.name}.service`],
        [
          "ExecStopPost",
          `+/bin/sh -c 'exec systemctl start --no-block "gradientlab-event@ended:${unit.name}:$$SERVICE_RESULT:$$EXIT_CODE:$$EXIT_STATUS.service"'`,
        ],
        ["Restart", "always"],
        ["RestartSec", "5"],
        ["KillMode", "mixed"],
        ["TimeoutStopSec", String(unit.stopSeconds)],
        // Where both want the processor, whoever looks at the workload and repairs it comes first.
        ["CPUWeight", "20"],
        ["MemoryMax", `${unit.memoryMaxPercent}%`],
        ["MemorySwapMax", `${unit.swapMaxMib}M`],
        ["OOMPolicy", "stop"],
        ["OOMScoreAdjust", "500"],
        ["TasksMax", "600"],
        ["UMask", "0077"],
        ["ProtectSystem", "strict"],
        ["ReadWritePaths", `${places.node}/profile`],
        ["ProtectHome", "yes"],
        // Its own and in memory: on a full disk systemd makes no folder for a private one, and starts nothing that asks for it.
        ["TemporaryFileSystem", "/tmp:mode=1777,size=64M"],
      ],
      Install: [["WantedBy", "multi-user.target"]],
    }),
    ...(unit.recycleDays === undefined
      ? []
      : [
          unitFile(`${recycle}.service`, {
            Unit: [["Description", `GradientLab: planned restart of ${unit.name}`]],
            Service: [
              ["Type", "oneshot"],
              ["ExecStart", `/bin/systemctl try-restart ${service}`],
            ],
          }),
          unitFile(`${recycle}.timer`, {
            Unit: [["Description", `GradientLab: planned restarts of ${unit.name}`]],
            Timer: [
              ["OnActiveSec", `${unit.recycleDays}d`],
              ["OnUnitActiveSec", `${unit.recycleDays}d`],
              ["RandomizedDelaySec", "2h"],
            ],
            Install: [["WantedBy", "timers.target"]],
          }),
        ]),
  ];
}

/** Returns a word as systemd.service(5) reads it back: `%` and `$` doubled, quoted where it must be. */
function systemdWord(word: string): string {
  const literal = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./:=%$,+@-]+$/.test(literal) ? literal : `"${literal.replace(/[\\"]/g, "\\$&")}"`;
}
