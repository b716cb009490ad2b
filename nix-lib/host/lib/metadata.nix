# What packages say about themselves: licences, maintainers, platforms, the main program.
lib:
let
  # A name nobody listed must not stop a package from evaluating, and `or` cannot express that for
  # `with lib.licenses; mit`. So the names in common use are spelled out.
  spdx = {
    mit = "MIT";
    mit0 = "MIT-0";
    asl20 = "Apache-2.0";
    bsd0 = "0BSD";
    bsd2 = "BSD-2-Clause";
    bsd3 = "BSD-3-Clause";
    bsdOriginal = "BSD-4-Clause";
    boost = "BSL-1.0";
    cc0 = "CC0-1.0";
    cc-by-40 = "CC-BY-4.0";
    cc-by-sa-40 = "CC-BY-SA-4.0";
    curl = "curl";
    epl20 = "EPL-2.0";
    fdl13Plus = "GFDL-1.3-or-later";
    gpl1Only = "GPL-1.0-only";
    gpl1Plus = "GPL-1.0-or-later";
    gpl2 = "GPL-2.0";
    gpl2Only = "GPL-2.0-only";
    gpl2Plus = "GPL-2.0-or-later";
    gpl3 = "GPL-3.0";
    gpl3Only = "GPL-3.0-only";
    gpl3Plus = "GPL-3.0-or-later";
    lgpl2 = "LGPL-2.0";
    lgpl2Plus = "LGPL-2.0-or-later";
    lgpl21 = "LGPL-2.1";
    lgpl21Only = "LGPL-2.1-only";
    lgpl21Plus = "LGPL-2.1-or-later";
    lgpl3 = "LGPL-3.0";
    lgpl3Only = "LGPL-3.0-only";
    lgpl3Plus = "LGPL-3.0-or-later";
    agpl3Only = "AGPL-3.0-only";
    agpl3Plus = "AGPL-3.0-or-later";
    isc = "ISC";
    libpng = "Libpng";
    mpl11 = "MPL-1.1";
    mpl20 = "MPL-2.0";
    ncsa = "NCSA";
    ofl = "OFL-1.1";
    openssl = "OpenSSL";
    psfl = "Python-2.0";
    unlicense = "Unlicense";
    wtfpl = "WTFPL";
    zlib = "Zlib";
    zpl21 = "ZPL-2.1";
    artistic1 = "Artistic-1.0";
    artistic2 = "Artistic-2.0";
    publicDomain = null;
    free = null;
    unfree = null;
  };
  linux = [
    "aarch64-linux"
    "armv7l-linux"
    "i686-linux"
    "powerpc64le-linux"
    "riscv64-linux"
    "x86_64-linux"
  ];
  darwin = [
    "aarch64-darwin"
    "x86_64-darwin"
  ];
in
{
  licenses = builtins.mapAttrs (
    shortName: spdxId:
    {
      inherit shortName;
      free = shortName != "unfree";
    }
    // lib.optionalAttrs (spdxId != null) {
      inherit spdxId;
      fullName = spdxId;
    }
  ) spdx;
  # Maintainers of other people's packages; `with lib.maintainers; [ … ]` needs `callPackage` files to
  # name them, which this set cannot know: such lists are lazy and `mkDerivation` never forces them.
  maintainers = { };
  teams = { };
  sourceTypes = lib.genAttrs [ "fromSource" "binaryNativeCode" "binaryBytecode" "binaryFirmware" ] (
    shortName: { inherit shortName; isSource = shortName == "fromSource"; }
  );
  platforms = {
    inherit linux darwin;
    unix = linux ++ darwin;
    all = linux ++ darwin;
    none = [ ];
    x86_64 = [ "x86_64-linux" "x86_64-darwin" ];
    aarch64 = [ "aarch64-linux" "aarch64-darwin" ];
    x86 = [ "i686-linux" "x86_64-linux" "x86_64-darwin" ];
    windows = [ ];
    cygwin = [ ];
    freebsd = [ ];
  };

  getExe = package: lib.getExe' package (package.meta.mainProgram or (lib.getName package));
  getExe' = package: program: "${lib.getBin package}/bin/${program}";
  addMetaAttrs = new: drv: drv // { meta = (drv.meta or { }) // new; };
  setPrio = priority: lib.addMetaAttrs { inherit priority; };
  lowPrio = lib.setPrio 10;
  hiPrio = lib.setPrio (-10);
  hydraPlatforms = lib.platforms;
  systems.elaborate = system: import ../platform.nix { inherit lib system; };
  meta = { inherit (lib) getExe getExe' addMetaAttrs lowPrio hiPrio; };
}
