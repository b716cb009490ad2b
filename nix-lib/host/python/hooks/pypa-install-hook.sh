# shellcheck shell=bash
# installPhase: the wheels of dist/ under $out. dontUsePypaInstall.

pypaInstallPhase() {
  runHook preInstall
  local wheel
  for wheel in dist/*.whl; do
    /usr/bin/python3 @installWheel@ "$wheel" "${out:?}" "$out/@sitePackages@"
  done
  # Found by the checks, which run on what was installed.
  export PYTHONPATH="$out/@sitePackages@${PYTHONPATH:+:$PYTHONPATH}"
  runHook postInstall
}

if [[ -z ${dontUsePypaInstall:-} && -z ${installPhase:-} ]]; then installPhase=pypaInstallPhase; fi
