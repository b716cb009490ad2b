# shellcheck shell=bash
# patchPhase: the patches in order, compressed ones too.

patchPhase() {
  runHook prePatch

  local -a patchList=() flags=()
  local file
  concatTo patchList patches
  concatTo flags patchFlags=-p1
  for file in ${patchList+"${patchList[@]}"}; do
    echo "applying patch $file"
    case "$file" in
      *.gz) gzip -dc <"$file" ;;
      *.bz2) bzip2 -dc <"$file" ;;
      *.xz | *.lzma) xz -dc <"$file" ;;
      *.zst) zstd -dc <"$file" ;;
      *) cat <"$file" ;;
    esac | patch "${flags[@]}"
  done

  runHook postPatch
}
