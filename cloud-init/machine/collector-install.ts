import { accounts, collectorPlaces, places } from "./layout.ts";

/** Where the installer works. A test gives folders and an account of its own. */
export interface InstallerPlaces {
  readonly link: string;
  readonly releases: string;
  readonly settings: string;
  readonly state: string;
  readonly settled: string;
  readonly passage: string;
  readonly unit: string;
  /** The folder of the unit's file. */
  readonly units: string;
  /** The account that the daemon's own files belong to; null: that of whoever runs the installer. */
  readonly account: string | null;
  /** How long a release may take until it is ready, in seconds. */
  readonly readySeconds: number;
}

/** The collector's own machine. On the smallest, in software emulation, a first start takes minutes. */
export const installerPlaces: InstallerPlaces = {
  ...collectorPlaces,
  units: places.units,
  account: accounts.daemon,
  readySeconds: 900,
};

/** Exit codes of the installer beside 0: it could not, the words are none of its, not now. */
export const installerExit = { failed: 1, usage: 64, tryLater: 75 } as const;

/**
 * Returns the program through which everything arrives at the collector's own machine: a shell program that root runs for
 * the one account whose key can do nothing else. Its one argument is what was asked for over SSH:
 *
 * - `status`: what is there, a line each; files by their SHA-256.
 * - `put <name> <sha256>`: a file, on standard input. `drop <name>` takes one away.
 * - `release <id> <sha256>`: a release as a compressed archive on standard input. It is unpacked and not yet used.
 * - `use <id>`: makes it the release in use, starts the daemon anew and waits until it is ready. One that does not become so
 *   gives its place back to the one before.
 *
 * What did not arrive whole is not kept. A file of the daemon's is written as the daemon, so that no link in its folder
 * leads root astray.
 */
export function collectorInstaller(where: InstallerPlaces = installerPlaces): string {
  const { link, releases, settings, state, settled, passage, unit, units, account, readySeconds } = where;
  const asDaemon =
    account === null
      ? ""
      : `setpriv --reuid=${account} --regid=${account} --clear-groups --no-new-privs --inh-caps=-all -- `;
  return `#!/bin/sh
# Takes what is carried to this machine for the collector: releases, keys, settings, the inventory. Runs as root.
set -efu
umask 022
unit=${unit}

fail() { # sentence [exit code]
  echo "$1" >&2
  exit "\${2:-${installerExit.failed}}"
}
usage() { fail "This takes: status | put <name> <sha256> | drop <name> | release <id> <sha256> | use <id>" ${installerExit.usage}; }
as_daemon() { ${asDaemon}"$@"; }

# Where a file belongs: root's settings, or the daemon's own folder. Sets path and owner.
target() {
  case "$1" in *..* | */ | /* | *//*) usage ;; esac
  case "$1" in
    ssh-key | credentials.key | collector.env) path=${settings}/$1 owner=root ;;
    inventory.json | alerts.json | recovery.json | networks/*.json | spool/*/*/*.jsonl) path=${state}/$1 owner=daemon ;;
    *) usage ;;
  esac
}

sum_of() { sha256sum | cut -d ' ' -f 1; }
current() { if [ -L ${link} ]; then basename "$(readlink ${link})"; fi; }

status() {
  echo 'installer 1'
  echo "release $(current)"
  echo "state $(systemctl is-active "$unit" || true)"
  if [ -f ${units}/"$unit" ]; then echo "unit $(sum_of < ${units}/"$unit")"; fi
  for id in $(ls ${releases}); do echo "has $id"; done
  for name in ssh-key credentials.key collector.env; do
    if [ -f ${settings}/$name ]; then echo "file $name $(sum_of < ${settings}/$name)"; fi
  done
  as_daemon sh -c 'cd ${state} && for file in inventory.json alerts.json recovery.json networks/*.json; do
    if [ -f "$file" ]; then echo "file $file $(sha256sum < "$file" | cut -d " " -f 1)"; fi
  done'
}

received() { # sha256 file: keeps standard input, whole or not at all
  cat > "$2"
  arrived=$(sum_of < "$2")
  [ "$arrived" = "$1" ] || fail "What arrived has the SHA-256 $arrived, and $1 was announced. Carry it again."
}

put() { # name sha256
  target "$1"
  (umask 077 && received "$2" ${passage}/file)
  if [ "$owner" = root ]; then
    (umask 077 && cat ${passage}/file > "$path.part")
    sync "$path.part"
    mv -T "$path.part" "$path"
  else
    as_daemon sh -c 'umask 077 && mkdir -p "$(dirname "$1")" && cat > "$1.part" && sync "$1.part" && mv -T "$1.part" "$1"' put "$path" < ${passage}/file
  fi
}

drop() { # name
  target "$1"
  if [ "$owner" = root ]; then rm -f "$path"; else as_daemon rm -f "$path"; fi
}

release() { # id sha256
  if [ -d ${releases}/"$1" ]; then exec cat > /dev/null; fi
  part=${releases}/.part
  rm -rf "$part"
  mkdir "$part"
  received "$2" "$part/archive"
  mkdir "$part/tree"
  tar --extract --gzip --no-same-owner --directory "$part/tree" < "$part/archive"
  rm "$part/archive"
  # On the disk before it has a name that says so.
  sync --file-system "$part"
  mv -T "$part/tree" ${releases}/"$1"
}

switch() { # id
  ln -sfn ${releases}/"$1" ${link}.part
  mv -T ${link}.part ${link}
}

port() {
  set_to=$(sed -n 's/^PORT=//p' ${settings}/collector.env 2> /dev/null | tail -n 1)
  echo "\${set_to:-8080}"
}

# Starts the daemon anew and waits until it is ready. Else sets why.
started() {
  since=$(date +%s)
  systemctl reset-failed "$unit" 2> /dev/null || true
  systemctl restart "$unit" || true
  while :; do
    if curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$(port)/readyz"; then return 0; fi
    case $(systemctl show --property=ActiveState --value "$unit") in failed | inactive) why='it ended'; break ;; esac
    if [ "$(systemctl show --property=NRestarts --value "$unit")" -ge 3 ]; then why='it ends again and again'; break; fi
    if [ $(($(date +%s) - since)) -ge ${readySeconds} ]; then
      why="after ${readySeconds} s it is not ready: $(curl --silent --max-time 5 "http://127.0.0.1:$(port)/readyz" || true)"
      break
    fi
    sleep 1
  done
  said=$(journalctl --no-pager --quiet --output=cat --lines=8 --since="@$since" "_SYSTEMD_UNIT=$unit" | tr '\\n' ' ')
  why="$why. It said: \${said:-nothing}"
  return 1
}

use() { # id
  [ -d ${releases}/"$1" ] || fail "There is no release $1 here. Carry it first."
  before=$(current)
  switch "$1"
  systemctl enable --quiet "$unit"
  if started; then
    [ "$before" != "$1" ] || return 0
    for id in $(ls ${releases}); do
      case $id in "$1" | "$before") ;; *) rm -rf ${releases}/"$id" ;; esac
    done
    return 0
  fi
  reason=$why
  if [ -z "$before" ] || [ "$before" = "$1" ]; then
    systemctl stop "$unit"
    fail "The release $1 did not become ready: $reason"
  fi
  switch "$before"
  if started; then fail "The release $1 did not become ready, and $before is in its place again: $reason"; fi
  fail "The release $1 did not become ready: $reason The one before, $before, is in its place again and does not become ready either: $why"
}

case "\${1:-}" in *[!A-Za-z0-9._/\\ -]*) usage ;; esac
set -- \${1:-}
[ -e ${settled} ] || fail 'This machine is still being set up.' ${installerExit.tryLater}
mkdir -p -m 0700 ${passage}
exec 9> ${passage}/lock
flock --nonblock 9 || fail 'Another command is at work here.' ${installerExit.tryLater}
trap 'rm -rf ${passage}/file ${releases}/.part' EXIT
case "$#:\${1:-}" in
  1:status) status ;;
  3:put) put "$2" "$3" ;;
  2:drop) drop "$2" ;;
  3:release | 2:use) case "$2" in .* | -* | */*) usage ;; *) "$@" ;; esac ;;
  *) usage ;;
esac
`;
}
