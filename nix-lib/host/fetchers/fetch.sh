# shellcheck shell=bash
# Downloads the first of $urls that answers; unpacks it where $unpack says so.
# shellcheck disable=SC2154  # lower-case names are attributes of the derivation
export PATH=/usr/bin:/bin

# Not verified against certificates, which a sandbox does not have: the hash of the result is what is trusted.
options=(--fail --location --insecure --retry 3 --connect-timeout 20 --speed-limit 1 --speed-time 60
  --silent --show-error --max-redirs 20)

# download FILE
download() {
  local file="${1:?file}" url
  for url in $urls; do
    echo "fetching $url"
    # Options are words by contract of curlOpts.
    # shellcheck disable=SC2086
    if curl "${options[@]}" ${curlOpts:-} ${curlOptsList:-} --output "$file" "$url"; then return 0; fi
  done
  echo "none of the addresses answered: $urls" >&2
  return 1
}

if [[ -z ${unpack:-} ]]; then
  download "$out"
  if [[ -n ${executable:-} ]]; then chmod +x "$out"; fi
else
  top="$PWD/unpacked"
  mkdir "$top"
  download "$PWD/$archive"
  case "$archive" in
    *.zip) unzip -qq "$archive" -d "$top" ;;
    *) tar --extract --file "$archive" --directory "$top" --no-same-owner --mode=u+w ;;
  esac
  if [[ -n $stripRoot ]]; then
    shopt -s dotglob
    entries=("$top"/*)
    if ((${#entries[@]} != 1)) || [[ ! -d ${entries[0]} ]]; then
      echo "the archive has ${#entries[@]} entries at its top: set stripRoot = false" >&2
      exit 1
    fi
    mv "${entries[0]}" "$out"
  else
    mv "$top" "$out"
  fi
fi
if [[ -n ${postFetch:-} ]]; then eval "$postFetch"; fi
exit 0
