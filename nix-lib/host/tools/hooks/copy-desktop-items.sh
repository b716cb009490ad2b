# shellcheck shell=bash
# desktopItems: .desktop files, or packages that have them, to share/applications.

postInstallHooks+=(_copyDesktopItems)

_copyDesktopItems() {
  [[ -z ${dontCopyDesktopItems:-} ]] || return 0
  local -a items=()
  local item bin="${outputBin:?}"
  concatTo items desktopItems
  for item in ${items+"${items[@]}"}; do
    mkdir -p "${!bin}/share/applications"
    if [[ -f $item ]]; then
      install -m 644 "$item" "${!bin}/share/applications/$(stripHash "$item")"
    else
      install -m 644 "$item"/share/applications/*.desktop "${!bin}/share/applications/"
    fi
  done
}
