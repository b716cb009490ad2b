# shellcheck shell=bash
# buildPhase: a wheel in dist/. pypaBuildFlags, dontUsePypaBuild.

pypaBuildPhase() {
  runHook preBuild
  local -a flags=(--no-isolation --outdir dist --wheel)
  concatTo flags pypaBuildFlags
  echoCmd 'pypaBuildPhase flags' "${flags[@]}"
  /usr/bin/python3 -m build "${flags[@]}"
  runHook postBuild
}

if [[ -z ${dontUsePypaBuild:-} && -z ${buildPhase:-} ]]; then buildPhase=pypaBuildPhase; fi
