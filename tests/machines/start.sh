#!/usr/bin/env bash
# Becomes the first process of a machine: in its own namespaces it makes a system its root, with directories of the machine's
# own where a machine is written to, and serves ssh until it is killed.
#
# The other side is machine.rs, which calls it under unshare. Sandboxed builds need a root that was pivoted to: the kernel
# refuses user namespaces to what was chrooted.
#
# usage: start.sh SYSTEM OWN TOOLS [HIDDEN…]
#   SYSTEM  the root of a system: / or one that scripts/machines.sh made; nothing in it is written to
#   OWN     a directory with etc, home, nix, root and srv, which become the machine's
#   TOOLS   a directory of programs for /run/bin
#   HIDDEN  files of /usr that this machine does not have
set -euo pipefail
system=$1 own=$2 tools=$3
root=$own/system

mount --rbind "$system" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/run/bin" "$root/run/toolchain/etc/alternatives"
mount --rbind "$tools" "$root/run/bin"
# What the machines have in common, as a stdenv in the store would be: the toolchain of the machine that the tests run on.
for path in bin lib lib64 usr etc/alternatives; do
  target=$root/run/toolchain/$path
  if [ -L "/$path" ]; then
    cp -P "/$path" "$target"
  elif [ -e "/$path" ]; then
    mkdir -p "$target"
    mount --rbind "/$path" "$target"
  fi
done
: >"$root/run/nothing"
for path in "${@:4}"; do mount --bind "$root/run/nothing" "$root/run/toolchain$path"; done
for path in etc home nix root srv; do mount --bind "$own/$path" "$root/$path"; done
mount -o remount,bind,ro "$root"

hostname "$(cat "$own/etc/hostname")"
cd "$root"
pivot_root . .
umount -l .
cd /
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
: >/run/ready
if [ -e /etc/ssh/machine ]; then exec /usr/sbin/sshd -D -e -f /etc/ssh/machine; fi
# Nobody else would reap what outlives its parent.
while :; do sleep 3600 & wait; done
