# Inputs that early stages need not have: setup hooks that only bring functions for install and later, found at trust
# `text`. Changing or adding one then leaves the stages before alone.
#
# attribute in nixpkgs -> { names, stage, commands, source }:
#   names     what the derivation is called, without version (nixpkgs of several years, and the host set), or what a
#             person calls it
#   stage     the first that may use it; earlier where a script of an earlier stage mentions one of its commands
#   commands  what it brings: the functions that its hook defines, and its programs; no two rows have the same
#   source    the hook
#
# A row is right only if the hook does nothing while it is sourced but define functions and register them for its stage
# or later, and if it propagates nothing but such hooks: configure could find that. So autoPatchelfHook (it propagates
# bintools), the wrapGAppsHooks (GTK) and wrapQtAppsHook (Qt) have no row; `lateInputs.install = [ "…" ]` is the user's word for them.
{
  makeWrapper = {
    names = [
      "make-shell-wrapper-hook" "make-wrapper-hook" "make-wrapper" "makeWrapper" "makeShellWrapper"
      "make-binary-wrapper-hook" "makeBinaryWrapper"
    ];
    stage = "install";
    commands = [
      "makeWrapper" "makeShellWrapper" "wrapProgram" "wrapProgramShell" "assertExecutable" "addSuffix" "filterExisting" "die"
      "makeBinaryWrapper" "wrapProgramBinary" "makeCWrapper" "makeDocumentedCWrapper"
    ];
    source = "pkgs/build-support/setup-hooks/make-wrapper.sh; pkgs/by-name/ma/makeBinaryWrapper/make-binary-wrapper.sh";
  };
  installShellFiles = {
    names = [ "install-shell-files" "install-shell-files-hook" ];
    stage = "install";
    commands = [ "installManPage" "installShellCompletion" "installBin" "installFonts" "installFont" ];
    source = "pkgs/by-name/in/installShellFiles/setup-hook.sh";
  };
  copyDesktopItems = {
    names = [ "copy-desktop-items-hook" "copy-desktop-items" ];
    stage = "install";
    commands = [ "copyDesktopItems" "desktopItemsArray" ];
    source = "pkgs/build-support/setup-hooks/copy-desktop-items.sh";
  };
  versionCheckHook = {
    names = [ "version-check-hook" ];
    stage = "finish";
    commands = [ "versionCheckHook" "versionCheckPhase" "_handleCmdOutput" ];
    source = "pkgs/by-name/ve/versionCheckHook/hook.sh";
  };
}
