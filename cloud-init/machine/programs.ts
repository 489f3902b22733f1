import type { BrowserSource } from "../browser-sources.ts";
import { places } from "./layout.ts";

/**
 * Shell programs of a machine. They run under dash, as root unless they say otherwise. What is said of them is said here:
 * the document that carries them is limited in size.
 */

/**
 * Returns the program that makes compressed swap in memory of half the machine's, used before the swap file. Not every
 * cloud's kernel has the module: then there is the file only.
 */
export function zramSwap(): string {
  return `#!/bin/sh
set -eu
if grep -q '^/dev/zram' /proc/swaps; then exit 0; fi
if ! modprobe zram; then echo "This kernel has no zram; the swap file has to do."; exit 0; fi
half=$(awk '/^MemTotal:/ { print int($2 / 2) }' /proc/meminfo)
device=$(zramctl --find --algorithm zstd --size "\${half}KiB")
mkswap "$device" > /dev/null
swapon --priority 100 "$device"
`;
}

/** Returns the program that answers one connection with the status page: no server stays in memory. */
export function statusPage(): string {
  return `#!/bin/sh
page=${places.node}/status/index.html
while IFS= read -r line; do [ "\${#line}" -le 1 ] && break; done
if [ -r "$page" ]; then status='200 OK'; else status='503 Service Unavailable'; page=/dev/null; fi
printf 'HTTP/1.0 %s\\r\\nContent-Type: text/html; charset=utf-8\\r\\nCache-Control: no-store\\r\\nX-Content-Type-Options: nosniff\\r\\nConnection: close\\r\\n\\r\\n' "$status"
exec cat "$page"
`;
}

/**
 * Returns the program that links the first browser to be had: one that is installed, else the sources in order; then it
 * starts `services`. A key that has not the fingerprint of the ledger is refused, and a program that only starts a snap
 * is no browser. `policy` is a file that the browser is to obey, null where nobody rules it.
 */
export function browserInstall(
  sources: readonly BrowserSource[],
  services: readonly string[],
  policy: string | null,
): string {
  const tries = sources.map(({ package: name, binary, policyFolder, repository }) => {
    const words = [name, binary, policyFolder];
    if (repository !== null)
      words.push(repository.uri, repository.suite, repository.components, repository.keyUri, repository.keyFingerprint);
    return words.map((word) => `'${word}'`).join(" ");
  });
  return `#!/bin/sh
set -u
export DEBIAN_FRONTEND=noninteractive

real() { [ -x "$1" ] && ! readlink -f "$1" | grep -q '/snap' && ! head -c 4096 "$1" | grep -aq '/snap/'; }

use() {
  ${policy === null ? "" : `mkdir -p "$2" && ln -sfn ${policy} "$2/gradientlab.json" &&\n    `}ln -sfn "$1" ${places.browser}.part && mv -T ${places.browser}.part ${places.browser}
}

add_repository() {
  umask 022
  key=$(mktemp) && curl --fail --silent --show-error --location --max-time 60 --output "$key" "$5" || return 1
  gpg --batch --show-keys --with-colons "$key" | grep -q "^fpr:::::::::$6:" || { echo "The key at $5 is not $6." >&2; rm "$key"; return 1; }
  mkdir -p /etc/apt/keyrings && gpg --batch --yes --dearmor --output "/etc/apt/keyrings/gradientlab-$1.gpg" < "$key" || return 1
  rm "$key"
  printf 'deb [signed-by=/etc/apt/keyrings/gradientlab-%s.gpg] %s %s %s\\n' "$1" "$2" "$3" "$4" > "/etc/apt/sources.list.d/gradientlab-$1.list"
  printf 'Package: *\\nPin: origin %s\\nPin-Priority: 100\\n\\nPackage: %s*\\nPin: origin %s\\nPin-Priority: 700\\n' \\
    "$(echo "$2" | cut -d/ -f3)" "$1" "$(echo "$2" | cut -d/ -f3)" > "/etc/apt/preferences.d/gradientlab-$1"
}

remove_repository() {
  rm -f "/etc/apt/sources.list.d/gradientlab-$1.list" "/etc/apt/preferences.d/gradientlab-$1" "/etc/apt/keyrings/gradientlab-$1.gpg"
}

try() { # package binary policies [uri suite components key-uri fingerprint]
  if [ $# -gt 3 ]; then add_repository "$1" "$4" "$5" "$6" "$7" "$8" || return 1; fi
  apt-get -q -o DPkg::Lock::Timeout=600 update && apt-get -q -y -o DPkg::Lock::Timeout=600 install "$1" && real "$2" && use "$2" "$3" && return 0
  [ $# -le 3 ] || remove_repository "$1"
  return 1
}

find_browser() {
${sources.map(({ binary, policyFolder }) => `  real '${binary}' && use '${binary}' '${policyFolder}' && return 0\n`).join("")}${tries.map((words) => `  try ${words} && return 0\n`).join("")}  return 1
}

find_browser || { echo 'No source gave a browser.' >&2; exit 1; }
${services.length === 0 ? "" : `exec systemctl start --no-block ${services.join(" ")}\n`}`;
}
