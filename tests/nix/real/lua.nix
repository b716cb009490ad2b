{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "lua";
  version = "5.4.4";

  src = fetchurl {
    url = "mirror://debian/pool/main/l/lua5.4/lua5.4_${finalAttrs.version}.orig.tar.gz";
    hash = "sha256-Fkx4SWU7gK5nvsS3RzuIS/XMjS3KBWU0dewu0nuev2E=";
  };

  # Modules of the package itself are looked for where it is installed.
  postPatch = ''
    substituteInPlace src/luaconf.h \
      --replace-fail '"/usr/local/"' "\"$out/\""
  '';

  makeFlags = [
    "INSTALL_TOP=${placeholder "out"}"
    "INSTALL_MAN=${placeholder "out"}/share/man/man1"
    "CC=${stdenv.cc.targetPrefix or ""}cc"
  ];

  buildFlags = [ "linux" ];

  enableParallelBuilding = true;

  postInstall = ''
    mkdir -p "$out/share/doc/lua" "$out/lib/pkgconfig"
    mv doc/*.{gif,png,css,html} "$out/share/doc/lua/"
    rmdir "$out"/{share,lib}/lua/5.4 "$out"/{share,lib}/lua || true

    cat >"$out/lib/pkgconfig/lua.pc" <<EOF
    prefix=$out
    libdir=$out/lib
    includedir=$out/include
    INSTALL_BIN=$out/bin
    INSTALL_MAN=$out/share/man/man1

    Name: Lua
    Description: An Extensible Extension Language
    Version: ${finalAttrs.version}
    Libs: -L$out/lib -llua -lm
    Cflags: -I$out/include
    EOF
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    "$out/bin/lua" -e "assert(package.path:find('$out/share/lua/5.4/?.lua', 1, true))"
    runHook postInstallCheck
  '';

  meta = {
    description = "Powerful, fast, lightweight, embeddable scripting language";
    homepage = "https://www.lua.org";
    license = lib.licenses.mit;
    mainProgram = "lua";
    platforms = lib.platforms.unix;
  };
})
