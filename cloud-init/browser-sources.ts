import type { MachineArch, MachineOs } from "./document.ts";

/** A package of a browser: where it comes from, and where it keeps binary and policies. */
export interface BrowserSource {
  readonly package: string;
  readonly binary: string;
  /** The folder of managed policies that this build reads. */
  readonly policyFolder: string;
  /** A repository beside the distribution's own, with the fingerprint that its key must have. */
  readonly repository: {
    readonly uri: string;
    readonly suite: string;
    readonly components: string;
    readonly keyUri: string;
    readonly keyFingerprint: string;
  } | null;
  /** Whether a machine of ours has run this source; the guide lists those that none has. */
  readonly booted: boolean;
  readonly source: string;
  readonly checkedOn: string;
}

const chromiumOfDebian: BrowserSource = {
  package: "chromium",
  binary: "/usr/bin/chromium",
  policyFolder: "/etc/chromium/policies/managed",
  repository: null,
  booted: true,
  source: "Debian 12 main and security, package chromium (amd64, arm64); policy folder from its own build settings",
  checkedOn: "2026-11-21",
};

const chrome: BrowserSource = {
  package: "google-chrome-stable",
  binary: "/usr/bin/google-chrome-stable",
  policyFolder: "/etc/opt/chrome/policies/managed",
  repository: {
    uri: "https://dl.google.com/linux/chrome/deb/",
    suite: "stable",
    components: "main",
    keyUri: "https://dl.google.com/linux/linux_signing_key.pub",
    keyFingerprint: "EB4C1BFD4F042F6DDDCCEC917721F63BD38B4796",
  },
  booted: false,
  source: "https://www.google.com/linuxrepositories/",
  checkedOn: "2026-11-21",
};

/** Debian's build on Ubuntu: Ubuntu's own package is a snap, which reads other policies and updates by itself. */
const chromiumOnUbuntu: BrowserSource = {
  ...chromiumOfDebian,
  repository: {
    uri: "https://deb.debian.org/debian",
    suite: "bookworm",
    components: "main",
    keyUri: "https://ftp-master.debian.org/keys/archive-key-12.asc",
    keyFingerprint: "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
  },
  booted: false,
  source: "https://ftp-master.debian.org/keys.html",
};

/**
 * Where a machine gets its browser, by operating system and architecture, tried in order: a dated ledger, because
 * packages and keys change. Never a snap. A key with another fingerprint than the one here is refused.
 */
export const browserSources: Readonly<Record<MachineOs, Readonly<Record<MachineArch, readonly BrowserSource[]>>>> = {
  "debian-12": { x64: [chromiumOfDebian], arm64: [chromiumOfDebian] },
  "ubuntu-24.04": { x64: [chrome, chromiumOnUbuntu], arm64: [chrome, chromiumOnUbuntu] },
};
