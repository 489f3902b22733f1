import type { CloudConfig } from "./cloud-config.ts";

/**
 * Returns the document as a shell script, for machines that take no user data: root runs it over SSH. It does what
 * cloud-init does with the document, in the same order, and may be run again: what is as it should be is left alone. It
 * stops at the first step that fails, but for the last commands, each of which cloud-init tries too.
 */
export function asScript(document: CloudConfig): string {
  const { hostname, timezone, users, write_files, swap, packages, runcmd } = document;
  return `#!/bin/sh
set -eu
[ "$(id -u)" = 0 ] || { echo 'Run this as root.' >&2; exit 77; }
export DEBIAN_FRONTEND=noninteractive

put() { # path mode, the text on standard input
  mkdir -p "$(dirname "$1")"
  cat > "$1.gradientlab-part"
  chmod "$2" "$1.gradientlab-part"
  if cmp -s "$1.gradientlab-part" "$1" && [ "$(stat -c %a "$1")" = "$(stat -c %a "$1.gradientlab-part")" ]; then rm "$1.gradientlab-part"; else mv "$1.gradientlab-part" "$1"; fi
}

hostnamectl set-hostname ${word(hostname)}
timedatectl set-timezone ${word(timezone)}
${write_files.map(putFile).join("")}
${users.map(addUser).join("")}
if [ ! -e ${word(swap.filename)} ]; then
  fallocate -l ${swap.size} ${word(swap.filename)} && chmod 600 ${word(swap.filename)} && mkswap ${word(swap.filename)} > /dev/null
fi
grep -q ${word(`^${swap.filename} `)} /etc/fstab || echo ${word(`${swap.filename} none swap sw 0 0`)} >> /etc/fstab
grep -q ${word(`^${swap.filename} `)} /proc/swaps || swapon ${word(swap.filename)}

apt-get -q -o DPkg::Lock::Timeout=600 update
apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold install ${packages.map(word).join(" ")}

failed=0
${runcmd.map((words) => `${words.map(word).join(" ")} || { failed=1; echo ${word(`This failed: ${words.join(" ")}`)} >&2; }\n`).join("")}exit "$failed"
`;
}

function putFile({ path, permissions, content }: CloudConfig["write_files"][number]): string {
  let end = "END_OF_FILE";
  while (content.includes(end)) end += "_";
  return `put ${word(path)} ${permissions} <<'${end}'\n${content}${end}\n`;
}

function addUser({
  name,
  gecos,
  shell,
  homedir,
  system,
  no_create_home,
  sudo,
  groups,
}: CloudConfig["users"][number]): string {
  const options = [
    "--comment",
    gecos,
    "--shell",
    shell,
    ...(homedir === undefined ? [] : ["--home-dir", homedir]),
    ...(system === true ? ["--system", "--user-group"] : []),
    ...(groups === undefined ? [] : ["--groups", groups.join(",")]),
    no_create_home === true ? "--no-create-home" : "--create-home",
  ];
  const add = `getent passwd ${word(name)} > /dev/null || useradd ${options.map(word).join(" ")} ${word(name)}\n`;
  if (sudo === undefined) return add;
  return `${add}put ${word(`/etc/sudoers.d/90-${name}`)} 0440 <<'END_OF_FILE'\n${name} ${sudo}\nEND_OF_FILE\n`;
}

/** Returns `text` as one word of a POSIX shell. */
function word(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
