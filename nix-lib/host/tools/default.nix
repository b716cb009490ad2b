# Programs of the machine as packages, with the setup hooks that packages expect of them.
final:
let
  inherit (final) hostTool makeSetupHook;
  plain = programs: { inherit programs; };
  # Tools without a hook: the package's name and its programs.
  tools = {
    autoconf = plain [ "autoconf" "autoreconf" "autoheader" "autom4te" "autoupdate" "ifnames" ];
    automake = plain [ "automake" "aclocal" ];
    libtool = plain [ "libtoolize" ];
    bison = plain [ "bison" "yacc" ];
    bzip2 = plain [ "bzip2" "bunzip2" ];
    coreutils = plain [ "cat" "chmod" "cp" "cut" "date" "dirname" "basename" "env" "head" "install" "ln" "ls" "mkdir" "mv" "nproc" "readlink" "rm" "rmdir" "sha256sum" "sort" "stat" "tail" "test" "touch" "tr" "true" "uniq" "wc" ];
    curl = plain [ "curl" ];
    diffutils = plain [ "diff" "cmp" ];
    file = plain [ "file" ];
    findutils = plain [ "find" "xargs" ];
    flex = plain [ "flex" ];
    gawk = plain [ "awk" ];
    gettext = plain [ "gettext" "msgfmt" "msgmerge" "xgettext" ];
    git = plain [ "git" ];
    gnugrep = plain [ "grep" "egrep" "fgrep" ];
    gnum4 = plain [ "m4" ];
    gnumake = plain [ "make" ];
    gnupatch = plain [ "patch" ];
    gnused = plain [ "sed" ];
    gnutar = plain [ "tar" ];
    gzip = plain [ "gzip" "gunzip" ];
    help2man = plain [ "help2man" ];
    patchelf = plain [ "patchelf" ];
    perl = plain [ "perl" ];
    texinfo = plain [ "makeinfo" "install-info" ];
    which = plain [ "which" ];
    xz = plain [ "xz" "unxz" ];
    zip = plain [ "zip" ];
    zstd = plain [ "zstd" "unzstd" ];
    unzip = plain [ "unzip" ];
    cmake = plain [ "cmake" "ctest" "cpack" ] // { setupHook = ./hooks/cmake.sh; };
    ninja = plain [ "ninja" ] // { setupHook = ./hooks/ninja.sh; };
    meson = plain [ "meson" ] // { setupHook = ./hooks/meson.sh; };
    # The others find .pc files of inputs through PKG_CONFIG_PATH, which the standard environment sets.
    pkg-config = plain [ "pkg-config" ];
  };
in
builtins.mapAttrs (name: tool: hostTool ({ inherit name; } // tool)) tools
// {
  cc = hostTool {
    name = "cc";
    programs = [ "cc=/usr/bin/gcc" "c++=/usr/bin/g++" "gcc" "g++" "cpp" "ld" "ar" "as" "nm" "ranlib" "strip" "objcopy" "objdump" "readelf" "size" "strings" ];
    passthru = {
      isGNU = true;
      isClang = false;
      targetPrefix = "";
      bintools = final.binutils;
      cc = final.cc;
      libc = null;
    };
  };
  gcc = final.cc;
  binutils = hostTool { name = "binutils"; programs = [ "ld" "ar" "as" "nm" "ranlib" "strip" "objcopy" "objdump" "readelf" ]; };
  bintools = final.binutils;
  pkgconf = final.pkg-config;
  pkgconfig = final.pkg-config;
  m4 = final.gnum4;
  autoreconfHook = makeSetupHook {
    name = "autoreconf-hook";
    propagatedBuildInputs = [ final.autoconf final.automake final.libtool ];
  } ./hooks/autoreconf.sh;
  makeWrapper = makeSetupHook { name = "make-wrapper-hook"; } ./hooks/make-wrapper.sh;
  makeShellWrapper = final.makeWrapper;
  installShellFiles = makeSetupHook { name = "install-shell-files"; } ./hooks/install-shell-files.sh;
  copyDesktopItems = makeSetupHook { name = "copy-desktop-items"; } ./hooks/copy-desktop-items.sh;
}
