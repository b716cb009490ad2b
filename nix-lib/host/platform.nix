# What a system name says: the `is…` questions that packages ask of a platform.
{ lib, system }:
let
  parts = builtins.match "([^-]*)-(.*)" system;
  cpu = builtins.head parts;
  kernel = builtins.elemAt parts 1;
  library = if kernel == "darwin" then ".dylib" else ".so";
  self = {
    inherit system;
    config = "${cpu}-unknown-${if kernel == "linux" then "linux-gnu" else kernel}";
    parsed = {
      cpu = {
        name = cpu;
        bits = if self.is64bit then 64 else 32;
      };
      kernel.name = kernel;
    };
    uname = {
      system = if kernel == "darwin" then "Darwin" else "Linux";
      processor = cpu;
    };
    linuxArch = if cpu == "aarch64" then "arm64" else cpu;
    isLinux = kernel == "linux";
    isDarwin = kernel == "darwin";
    isUnix = true;
    isx86_64 = cpu == "x86_64";
    isx86_32 = cpu == "i686";
    isi686 = cpu == "i686";
    isx86 = self.isx86_64 || self.isx86_32;
    isAarch64 = cpu == "aarch64";
    isAarch32 = cpu == "armv7l";
    isAarch = self.isAarch64 || self.isAarch32;
    isRiscV = cpu == "riscv64";
    isRiscV64 = cpu == "riscv64";
    isPower = cpu == "powerpc64le";
    is64bit = builtins.elem cpu [ "x86_64" "aarch64" "riscv64" "powerpc64le" ];
    is32bit = !self.is64bit;
    isLittleEndian = true;
    isBigEndian = false;
    isGnu = self.isLinux;
    isMusl = false;
    isStatic = false;
    isWindows = false;
    isCygwin = false;
    isMinGW = false;
    isFreeBSD = false;
    isOpenBSD = false;
    isNetBSD = false;
    isBSD = self.isDarwin;
    isWasm = false;
    isWasi = false;
    isSunOS = false;
    isiOS = false;
    isAndroid = false;
    isGhcjs = false;
    hasSharedLibraries = true;
    libc = if self.isLinux then "glibc" else "libSystem";
    extensions = {
      sharedLibrary = library;
      library = library;
      staticLibrary = ".a";
      executable = "";
    };
    emulator = _pkgs: "";
    emulatorAvailable = _pkgs: true;
    canExecute = other: other.system == system;
    rust.rustcTarget = self.config;
    rust.rustcTargetSpec = self.config;
  };
in
if parts == null then
  throw "\"${system}\" is not a system name such as x86_64-linux"
else
  self
  // lib.optionalAttrs self.isx86_64 {
    gcc.arch = "x86-64";
  }
