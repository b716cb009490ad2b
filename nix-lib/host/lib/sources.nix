# Directories as sources.
lib: {
  # What version control and editors leave beside the sources.
  cleanSourceFilter =
    path: type:
    let
      name = baseNameOf (toString path);
    in
    !(
      (type == "directory" && builtins.elem name [ ".git" ".hg" ".svn" "CVS" ])
      || lib.hasSuffix "~" name
      || builtins.match "\\.sw[a-z]|\\..*\\.sw[a-z]" name != null
      || (type == "symlink" && (name == "result" || lib.hasPrefix "result-" name))
    );
  cleanSource =
    src:
    lib.cleanSourceWith {
      inherit src;
      filter = lib.cleanSourceFilter;
    };
  cleanSourceWith =
    {
      src,
      filter ? _path: _type: true,
      name ? "source",
    }:
    builtins.path { inherit name filter; path = src; };
  sourceByRegex =
    src: patterns:
    let
      top = toString src + "/";
    in
    lib.cleanSourceWith {
      inherit src;
      filter =
        path: _type: lib.any (p: builtins.match p (lib.removePrefix top (toString path)) != null) patterns;
    };
}
