import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { lockWhenFree } from "../../../engine/lock.ts";
import { ensurePrograms, type Needed, runLoudly } from "../../../packages.ts";
import { ExplainedError } from "../../../problem.ts";

/** An image that machines boot from: a disk that is never written to, and the kernel that belongs to it. */
export interface Image {
  /** Names its content: another recipe is another image. */
  readonly id: string;
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** The architecture of this machine in the words of its parts. */
interface Platform {
  readonly debian: string;
  readonly emulator: string;
  readonly emulatorPackage: string;
}

/** Returns what machines of this architecture are built with and run by. */
export function platformOf(arch: string): Platform {
  return arch === "arm64"
    ? { debian: "arm64", emulator: "qemu-system-aarch64", emulatorPackage: "qemu-system-arm" }
    : { debian: "amd64", emulator: "qemu-system-x86_64", emulatorPackage: "qemu-system-x86" };
}

/**
 * What is in the image from the start, as in the distribution's own cloud image, and two packages that would take an
 * emulated machine minutes to unpack: the browser, and the Node.js that the agent runs on.
 */
const installed = [
  "ca-certificates",
  "chromium",
  "cloud-init",
  "curl",
  "dbus",
  "e2fsprogs",
  "ifupdown",
  "iproute2",
  "isc-dhcp-client",
  "kmod",
  "libpam-systemd",
  "nodejs",
  "openssh-server",
  "procps",
  "python3",
  "sudo",
  "systemd",
  "systemd-sysv",
  "systemd-timesyncd",
  "udev",
  "unattended-upgrades",
] as const;

/** What the boot document asks for beside these: they lie in the image's own mirror, and cloud-init installs them. */
const mirrored = ["gpg", "nftables"] as const;

const diskGib = 6;
const buildMs = 30 * 60_000;

/**
 * Run for the unpacked system in `$1`: fetches the mirror's packages with all that they need, writes their index, and
 * makes the mirror the only source, so that a machine installs without the internet. The host keys are each machine's
 * own; cloud-init takes its settings from the seed only.
 */
const finish = `set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get --yes --no-install-recommends --download-only install ${mirrored.join(" ")} >&2
mkdir -p "$1/srv/packages"
mv "$1"/var/cache/apt/archives/*.deb "$1/srv/packages/"
cd "$1/srv/packages"
for deb in *.deb; do
  dpkg-deb --field "$deb"
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done > Packages
rm -rf "$1"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/packages ./' > "$1/etc/apt/sources.list"
printf 'apt: {preserve_sources_list: true}\\ndatasource_list: [NoCloud, None]\\nmanage_etc_hosts: true\\nlocale: C.UTF-8\\n' > "$1/etc/cloud/cloud.cfg.d/90_image.cfg"
echo 'LANG=C.UTF-8' > "$1/etc/default/locale"
rm -f "$1"/etc/ssh/ssh_host_*
echo 'LABEL=root / ext4 defaults 0 1' > "$1/etc/fstab"
`;

/** Turns the unpacked system in `root` into what a machine boots from. */
const pack = `set -eu
cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
mke2fs -q -t ext4 -L root -d root disk.raw ${diskGib}G
rm -rf root
`;

/** What building an image depends on; tests give their own. */
export interface ImageOptions {
  readonly cache?: string;
  /** Hears every line of what installs and builds. */
  readonly say?: (line: string) => void;
  /** Hears in one sentence that an image is being built. */
  readonly begins?: (sentence: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Returns the image for machines on this one, built from Debian 12's packages where the cache has none of this recipe:
 * some two minutes and 2 GB of disk. Two processes never build at once. Throws `no-program` or
 * `no-machines` in one sentence where this machine lacks something for it, `no-image` with the builder's last words where it failed.
 */
export async function ensureImage({
  cache = imageCache(),
  say = () => undefined,
  begins = () => undefined,
  signal,
}: ImageOptions = {}): Promise<Image> {
  const platform = platformOf(process.arch);
  const id = imageId(platform);
  const folder = join(cache, id);
  const image = { id, disk: join(folder, "disk.raw"), kernel: join(folder, "vmlinuz"), initrd: join(folder, "initrd") };
  const root = process.getuid?.() === 0;
  await ensurePrograms("Virtual machines", programsOf(platform, root), say);
  if (existsSync(folder)) return image;
  if (!root)
    throw new ExplainedError(
      "no-machines",
      "The image that virtual machines boot from is not built yet, and only root can build it.",
      "Run the same command once with sudo -E, or use nodes of mode process.",
    );
  await mkdir(cache, { recursive: true });
  const release = await lockWhenFree(join(cache, "building"), () => say("another process builds the image"));
  try {
    if (existsSync(folder)) return image;
    begins("The image that virtual machines boot from is being built, once: that takes minutes.");
    await buildImage(platform, folder, say, signal);
    return image;
  } finally {
    release();
  }
}

/** Returns the image's name: a sum of all that goes into it. */
function imageId({ debian }: Platform): string {
  const recipe = JSON.stringify([debian, installed, finish, pack]);
  return createHash("sha256").update(recipe).digest("hex").slice(0, 16);
}

function imageCache(): string {
  const { XDG_CACHE_HOME: base = "", HOME } = process.env;
  return join(isAbsolute(base) ? base : join(HOME || homedir(), ".cache"), "gradientlab", "images");
}

async function buildImage(
  { debian }: Platform,
  folder: string,
  say: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const part = `${folder}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part);
  // mmdebstrap unpacks as root and every account of the system has to pass through.
  await writeFile(join(part, "finish"), `#!/bin/sh\n${finish}`, { mode: 0o755 });
  try {
    const packages = [`linux-image-cloud-${debian}`, ...installed].join(",");
    const words = ["--variant=minbase", "--format=directory", `--architectures=${debian}`, `--include=${packages}`];
    const hook = `--customize-hook=${join(part, "finish")}`;
    await step(["mmdebstrap", ...words, hook, "bookworm", join(part, "root")], part, say, signal);
    say("writing the disk");
    await step(["sh", "-c", pack], part, say, signal);
    await rm(join(part, "finish"));
    await rename(part, folder);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

async function step(
  argv: readonly string[],
  cwd: string,
  say: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  // A build that nobody waits for any more ends with whoever began it.
  const { end, last } = await runLoudly(["setpriv", "--pdeathsig", "TERM", ...argv], {
    say: (line) => say(line.replace(/^I: /, "")),
    cwd,
    signal,
    timeoutMs: buildMs,
  });
  if (end === null) return;
  throw new ExplainedError(
    "no-image",
    `The image for virtual machines could not be built: ${argv[0]} ended (${end}). It said: ${last}`,
    "It needs Debian's packages from deb.debian.org; run it again when they can be reached.",
  );
}

function programsOf({ emulator, emulatorPackage }: Platform, root: boolean): readonly Needed[] {
  return [
    { program: emulator, package: emulatorPackage },
    { program: "qemu-img", package: "qemu-utils" },
    { program: "genisoimage", package: "genisoimage" },
    ...(root ? [{ program: "mmdebstrap", package: "mmdebstrap" }] : []),
  ];
}
