import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { MachineArch } from "../../../../cloud-init/document.ts";
import { lockWhenFree } from "../../../engine/lock.ts";
import { ensurePrograms, type Needed, runLoudly } from "../../../packages.ts";
import { ExplainedError } from "../../../problem.ts";
import { resolverInside } from "./emulator.ts";

/** An image that machines boot from: a disk that is never written to, and the kernel that belongs to it. */
export interface Image {
  /** Names its content: another recipe is another image. */
  readonly id: string;
  readonly disk: string;
  readonly kernel: string;
}

/** The architecture of this machine. */
export const hostArch: MachineArch = process.arch === "arm64" ? "arm64" : "x64";

/** An architecture in the words of its parts. */
interface Platform {
  readonly debian: string;
  readonly emulator: string;
  readonly emulatorPackage: string;
  /** What runs its programs on another architecture, and the kernel's rule of how they are known: binfmt_misc. */
  readonly interpreter: string;
  readonly programs: string;
}

/** The first 20 bytes of a program for Linux of 64 bits, low byte first, for this kind of processor, and which count. */
const programsFor = (processor: string): string =>
  String.raw`\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00${processor}\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

const platforms: Readonly<Record<MachineArch, Platform>> = {
  x64: {
    debian: "amd64",
    emulator: "qemu-system-x86_64",
    emulatorPackage: "qemu-system-x86",
    interpreter: "qemu-x86_64-static",
    programs: programsFor(String.raw`\x3e`),
  },
  arm64: {
    debian: "arm64",
    emulator: "qemu-system-aarch64",
    emulatorPackage: "qemu-system-arm",
    interpreter: "qemu-aarch64-static",
    programs: programsFor(String.raw`\xb7`),
  },
};

/** Returns the program that emulates machines of an architecture. */
export function emulatorOf(arch: MachineArch): string {
  return platforms[arch].emulator;
}

/**
 * What is in the image from the start, as in the distribution's own cloud image, and two packages that would take an
 * emulated machine minutes to unpack: the browser, and the Node.js that the agent runs on. The kernel's package brings the
 * modules alone: the kernel itself is the emulator's to start, and finds its disk without an initial memory disk.
 */
const installed = [
  "ca-certificates",
  "chromium",
  "cloud-init",
  "curl",
  "dbus",
  "e2fsprogs",
  "iproute2",
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
/** A build for another architecture runs all of its packages' programs in software. */
const buildMs = { own: 30 * 60_000, foreign: 120 * 60_000 } as const;

/**
 * The image's settings of cloud-init: its own order of modules, without those for what is not here, and with the host
 * key shown as soon as there is one, and again at the end of every boot. The user data decides all the rest.
 */
const cloudSettings = {
  apt: { preserve_sources_list: true },
  datasource_list: ["NoCloud", "None"],
  manage_etc_hosts: true,
  locale: "C.UTF-8",
  system_info: { network: { renderers: ["networkd"] } },
  cloud_init_modules: [
    "seed_random",
    "bootcmd",
    "write_files",
    "growpart",
    "resizefs",
    "mounts",
    "set_hostname",
    "update_hostname",
    "update_etc_hosts",
    "users_groups",
    "ssh",
    "keys_to_console",
  ],
  cloud_config_modules: ["locale", "set_passwords", "apt_configure", "ntp", "timezone", "runcmd"],
  cloud_final_modules: [
    "package_update_upgrade_install",
    "scripts_per_boot",
    "scripts_per_instance",
    "scripts_user",
    ["keys_to_console", "always"],
    "final_message",
    "power_state_change",
  ],
} as const;

/** Units that a machine without a screen, a login prompt or packages from elsewhere has no use for. */
const masked = [
  "dev-hugepages.mount",
  "dev-mqueue.mount",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "getty.target",
  "kmod-static-nodes.service",
  "modprobe@drm.service",
  "modprobe@efi_pstore.service",
  "modprobe@fuse.service",
  "proc-sys-fs-binfmt_misc.automount",
  "serial-getty@.service",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "systemd-binfmt.service",
  "systemd-pstore.service",
  "unattended-upgrades.service",
  // A manager of its own for every account that logs in over SSH, for as long as it does.
  "user@.service",
] as const;

/**
 * Generators that look for what is not here, and cloud-init's, which looks for clouds in each of systemd's reloads: the
 * image's settings say where user data comes from.
 */
const generators = [
  "cloud-init-generator",
  "systemd-bless-boot-generator",
  "systemd-cryptsetup-generator",
  "systemd-debug-generator",
  "systemd-getty-generator",
  "systemd-gpt-auto-generator",
  "systemd-hibernate-resume-generator",
  "systemd-integritysetup-generator",
  "systemd-rc-local-generator",
  "systemd-run-generator",
  "systemd-system-update-generator",
  "systemd-sysv-generator",
  "systemd-veritysetup-generator",
] as const;

/**
 * Run for the unpacked system in `$1`, `$2` being its architecture: brings the kernel, fetches the mirror's packages with
 * all that they need, writes their index, and makes the mirror the only source, so that a machine installs without the
 * internet. The host keys are each machine's own; cloud-init takes its settings from the seed only.
 */
const finish = `set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
archives="$1/var/cache/apt/archives"
rm -f "$archives"/*.deb
apt-get --yes --no-install-recommends --download-only install "linux-image-cloud-$2" >&2
dpkg-deb --extract "$archives"/linux-image-[0-9]*.deb "$1/kernel"
mv "$1/kernel/lib/modules" "$1/usr/lib/modules"
mv "$1"/kernel/boot/vmlinuz-* "$1/boot/vmlinuz"
rm -rf "$1/kernel" "$archives"/*.deb
chroot "$1" depmod "$(ls "$1/usr/lib/modules")"
apt-get --yes --no-install-recommends --download-only install ${mirrored.join(" ")} >&2
mkdir -p "$1/srv/packages"
mv "$archives"/*.deb "$1/srv/packages/"
cd "$1/srv/packages"
for deb in *.deb; do
  dpkg-deb --field "$deb"
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done > Packages
rm -rf "$1"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/packages ./' > "$1/etc/apt/sources.list"
echo 'Acquire::Languages "none";' > "$1/etc/apt/apt.conf.d/50image"
echo '${JSON.stringify(cloudSettings)}' > "$1/etc/cloud/cloud.cfg.d/90_image.cfg"
echo 'LANG=C.UTF-8' > "$1/etc/default/locale"
chroot "$1" systemctl enable systemd-networkd.service
chroot "$1" systemctl mask ${masked.join(" ")}
chroot "$1" systemctl add-wants multi-user.target cloud-init.target
mkdir -p "$1/etc/systemd/system-generators"
for name in ${generators.join(" ")}; do ln -s /dev/null "$1/etc/systemd/system-generators/$name"; done
rm -f "$1"/etc/ssh/ssh_host_*
echo 'LABEL=root / ext4 noinit_itable 0 1' > "$1/etc/fstab"
`;

/**
 * Turns the unpacked system in `root` into what a machine boots from. With an empty machine id a machine makes its own,
 * without every unit's presets being looked at again; names are asked of the emulator's resolver.
 */
const pack = `set -eu
mv root/boot/vmlinuz vmlinuz
: > root/etc/machine-id
rm -f root/etc/resolv.conf
echo 'nameserver ${resolverInside}' > root/etc/resolv.conf
mke2fs -q -t ext4 -L root -d root disk.raw ${diskGib}G
rm -rf root
`;

/**
 * Runs `$@` where programs of another architecture run too: the kernel hands those that rule `$1` knows to `$2`. Root has a
 * user namespace of its own for that, with all of its accounts: so the rule is nobody else's, and goes with it.
 */
const amongForeign = `set -eu
rule=$1
interpreter=$2
shift 2
talk=$(mktemp -d)
trap 'rm -r "$talk"' EXIT
mkfifo "$talk/made" "$talk/mapped"
unshare --user --mount sh -euc '
echo > "$1/made"
read -r _ < "$1/mapped"
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf ":gradientlab:M::%s:%s:OCF" "$2" "$3" > /proc/sys/fs/binfmt_misc/register
shift 3
exec setpriv --reuid=0 --regid=0 --clear-groups --pdeathsig=TERM "$@"' sh "$talk" "$rule" "$interpreter" "$@" &
read -r _ < "$talk/made"
echo 0 0 65536 > "/proc/$!/uid_map"
echo 0 0 65536 > "/proc/$!/gid_map"
echo > "$talk/mapped"
wait $!
`;

/** What building an image depends on; tests give their own. */
export interface ImageOptions {
  /** That of the machines; this machine's where it is not given. */
  readonly arch?: MachineArch;
  readonly cache?: string;
  /** Hears every line of what installs and builds. */
  readonly say?: (line: string) => void;
  /** Hears in one sentence that an image is being built. */
  readonly begins?: (sentence: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Returns the image for machines on this one, built from Debian 12's packages where the cache has none of this recipe:
 * some two minutes and 2 GB of disk, for another architecture than this machine's a quarter of an hour. Two processes never build at once. Throws `no-program` or
 * `no-machines` in one sentence where this machine lacks something for it, `no-image` with the builder's last words where it failed.
 */
export async function ensureImage({
  arch = hostArch,
  cache = imageCache(),
  say = () => undefined,
  begins = () => undefined,
  signal,
}: ImageOptions = {}): Promise<Image> {
  const platform = platforms[arch];
  const id = imageId(platform);
  const folder = join(cache, id);
  const image = { id, disk: join(folder, "disk.raw"), kernel: join(folder, "vmlinuz") };
  const root = process.getuid?.() === 0;
  await ensurePrograms("Virtual machines", programsOf(arch, root), say);
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
    await buildImage(arch, folder, say, signal);
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
  arch: MachineArch,
  folder: string,
  say: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { debian, interpreter, programs } = platforms[arch];
  const part = `${folder}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part);
  // mmdebstrap unpacks as root and every account of the system has to pass through.
  await writeFile(join(part, "finish"), `#!/bin/sh\n${finish}`, { mode: 0o755 });
  try {
    const packages = installed.join(",");
    // A build that is cut short is done again: nothing in it has to be on disk before the rest.
    const words = ["--variant=minbase", "--format=directory", "--dpkgopt=force-unsafe-io"];
    words.push(`--architectures=${debian}`, `--include=${packages}`);
    const hook = `--customize-hook=${join(part, "finish")} "$1" ${debian}`;
    const builder = ["mmdebstrap", ...words, hook, "bookworm", join(part, "root")];
    const foreign = ["sh", "-c", amongForeign, "sh", programs, `/usr/bin/${interpreter}`];
    const among = arch === hostArch ? builder : [...foreign, ...builder, "--skip=check/qemu"];
    await step("mmdebstrap", among, part, say, signal, arch === hostArch ? buildMs.own : buildMs.foreign);
    say("writing the disk");
    await step("mke2fs", ["sh", "-c", pack], part, say, signal);
    await rm(join(part, "finish"));
    await rename(part, folder);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

async function step(
  name: string,
  argv: readonly string[],
  cwd: string,
  say: (line: string) => void,
  signal: AbortSignal | undefined,
  timeoutMs: number = buildMs.own,
): Promise<void> {
  // A build that nobody waits for any more ends with whoever began it.
  const { end, last } = await runLoudly(["setpriv", "--pdeathsig", "TERM", ...argv], {
    say: (line) => say(line.replace(/^I: /, "")),
    cwd,
    signal,
    timeoutMs,
  });
  if (end === null) return;
  throw new ExplainedError(
    "no-image",
    `The image for virtual machines could not be built: ${name} ended (${end}). It said: ${last}`,
    "It needs Debian's packages from deb.debian.org; run it again when they can be reached.",
  );
}

const builders: readonly Needed[] = [
  { program: "mmdebstrap", package: "mmdebstrap" },
  { program: "mke2fs", package: "e2fsprogs" },
];

function programsOf(arch: MachineArch, root: boolean): readonly Needed[] {
  const { emulator, emulatorPackage, interpreter } = platforms[arch];
  return [
    { program: emulator, package: emulatorPackage },
    { program: "qemu-img", package: "qemu-utils" },
    { program: "genisoimage", package: "genisoimage" },
    ...(root ? builders : []),
    ...(root && arch !== hostArch ? [{ program: interpreter, package: "qemu-user-static" }] : []),
  ];
}
