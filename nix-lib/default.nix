# nix-lib as a directory: what `import` of it gives is the splitter with its table and its runtime.
# split.nix that inlines the library (no --lib) builds the same runtime text, so both give the same derivations.
let
  runtimeFiles = [
    ./runtime/10-options.sh
    ./runtime/20-build-directory.sh
    ./runtime/30-environment.sh
    ./runtime/40-shell-state.sh
    ./runtime/45-shell-script.sh
    ./runtime/50-mentions.sh
    ./runtime/60-phases.sh
    ./runtime/70-keep-failed.sh
    ./runtime/80-outside.sh
    ./runtime/90-stage.sh
  ];
in
import ./split.nix {
  scopesOf = import ./scope.nix {
    scopes = import ./scopes.nix;
    knownInputs = import ./late-inputs.nix;
    text = import ./text.nix;
  };
  cutPhases = import ./cut.nix;
  runtime = builtins.toFile "phasesplit-runtime.sh" (
    builtins.concatStringsSep "" (map builtins.readFile runtimeFiles)
  );
}
