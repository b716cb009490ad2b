# shellcheck shell=bash
# The Nix settings that tests, demo and benchmark use, as NIX_CONFIG: the sandbox on and never silently off, no
# caches, and the machine's toolchain visible inside. To be sourced. The user's configuration files stay as they are,
# and what is in NIX_CONFIG already stays in force where this does not name it.

phasesplit_nix_config() {
  local paths='' path sysroot
  for path in /bin /usr /lib /lib64 /etc/alternatives; do
    if [ -e "$path" ]; then paths="$paths $path"; fi
  done
  if sysroot=$(rustc --print sysroot 2>/dev/null); then paths="$paths /rust=$sysroot"; fi
  # In place of the default list, not added to it: a shell at /bin/sh must not be beside /bin (src/nix/sandbox.rs).
  printf '%s\n' 'sandbox = true' 'sandbox-fallback = false' 'substituters =' "sandbox-paths =$paths" \
    'extra-experimental-features = nix-command flakes'
  # Root builds as itself where there are no build users; Nix would otherwise look for the group.
  if [ "$(id -u)" = 0 ] && ! getent group nixbld >/dev/null; then printf '%s\n' 'build-users-group ='; fi
}

# A daemon decides by its own configuration and ignores most of this from users it does not trust: left alone.
if [ "$(id -u)" = 0 ] || { [ -z "${NIX_REMOTE:-}" ] && [ -w /nix/store ]; }; then
  NIX_CONFIG="${NIX_CONFIG:+$NIX_CONFIG
}$(phasesplit_nix_config)"
  export NIX_CONFIG
fi
unset -f phasesplit_nix_config
