# Comparing and cutting version strings.
lib: {
  inherit (builtins) compareVersions splitVersion;
  versionOlder = v: than: builtins.compareVersions than v == 1;
  versionAtLeast = v: than: builtins.compareVersions v than >= 0;
  getVersion = x: if builtins.isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  getName = x: if builtins.isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  versions = rec {
    inherit (builtins) splitVersion;
    major = v: builtins.elemAt (splitVersion v) 0;
    minor = v: builtins.elemAt (splitVersion v) 1;
    patch = v: builtins.elemAt (splitVersion v) 2;
    majorMinor = v: builtins.concatStringsSep "." (lib.take 2 (splitVersion v));
    pad =
      n: v:
      let
        parts = lib.take n (splitVersion v);
      in
      builtins.concatStringsSep "." (parts ++ builtins.genList (_: "0") (n - builtins.length parts));
  };
}
