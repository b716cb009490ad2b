# shellcheck shell=bash
# Builds a package of ../host-tool.nix or ../make-setup-hook.nix.
export PATH=/usr/bin:/bin

# shellcheck disable=SC2154  # programs, propagatedBuildInputs, setupHook, hookText and out are attributes
{
  mkdir -p "$out/bin" "$out/nix-support"
  for program in $programs; do
    ln -s "$([[ $program == *=* ]] && echo "${program#*=}" || echo "/usr/bin/$program")" "$out/bin/${program%%=*}"
  done
  rmdir --ignore-fail-on-non-empty "$out/bin"
  if [[ -n $setupHook ]]; then cp "$setupHook" "$out/nix-support/setup-hook"; fi
  if [[ -s ${hookTextPath:-} ]]; then cp "$hookTextPath" "$out/nix-support/setup-hook"; fi
  if [[ -n $propagatedBuildInputs ]]; then
    echo "$propagatedBuildInputs" >"$out/nix-support/propagated-build-inputs"
  fi
}
# Nix closes the log pipe when the builder exits: a coreutils command exec'd last would be killed for it.
exit 0
