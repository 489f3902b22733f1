/**
 * Where a machine keeps what is ours: the accounts, folders and ports that the boot document makes and that the agent,
 * the firewall and whoever reaches the machine have to agree on.
 */

/** The accounts of a machine. Each can do one thing. */
export const accounts = {
  /** Runs the workload's browser. Nobody logs in as it. */
  browser: "gl-browser",
  /** Writes the journal and answers the collector's key, which can run the agent's verbs and nothing else. */
  agent: "gl-agent",
  /** The operator's key as administrator. */
  operator: "gl-operator",
  /** The operator's key with one right: to forward a port to the browser's debugging endpoint. */
  enrol: "gl-enrol",
  /** On the collector's own machine, the operator's key with one right: to give what is carried there to its installer. */
  install: "gl-install",
  /** On the collector's own machine, runs the daemon. Nobody logs in as it. */
  daemon: "gradientlab",
} as const;

/** Ports on the loopback address. */
export const ports = {
  /** The browser's debugging endpoint. */
  debugging: 9222,
  /** The status page, for the operator's tunnel. */
  status: 9280,
} as const;

/** Folders and files of a machine, absolute. */
export const places = {
  /** The node's folder: what the agent knows as its directory. */
  node: "/var/lib/gradientlab/node",
  agent: "/var/lib/gradientlab/node/agent.cjs",
  /** Packed extensions and their update manifest, which the browser reads as `file://`. */
  extension: "/var/lib/gradientlab/extension",
  programs: "/usr/local/lib/gradientlab",
  /** A link to the browser's binary; it is there when a browser is. */
  browser: "/usr/local/lib/gradientlab/browser",
  /** A copy of the mark in the browser's profile, for the agent, which may not read the profile. */
  profileMark: "/run/gradientlab-browser/profile",
  /** The browser's policy; the browser's own policy folder links to it. */
  policy: "/etc/gradientlab/policy.json",
  authorizedKeys: "/etc/ssh/gradientlab",
  units: "/etc/systemd/system",
} as const;

/** Folders and files of the collector's own machine, absolute. */
export const collectorPlaces = {
  /** A link to the release in use. */
  link: "/opt/gradientlab",
  releases: "/opt/gradientlab-releases",
  /** Keys and settings that root hands to the daemon. */
  settings: "/etc/gradientlab",
  /** The daemon's own folder. */
  state: "/var/lib/gradientlab",
  /** It is there once cloud-init has set the machine up. */
  settled: "/var/lib/cloud/instance/boot-finished",
  /** In memory: secrets pass through it. */
  passage: "/run/gradientlab-install",
  unit: "gradientlab-collector.service",
} as const;

/** Returns the name of the systemd service that runs a unit of the workload. */
export function serviceOf(unit: string): string {
  return `gradientlab-${unit}.service`;
}
