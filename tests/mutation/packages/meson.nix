# Meson and Ninja: the hook of meson chooses later phases while it configures.
{ stdenv, meson, ninja, runCommand, trace }:
stdenv.mkDerivation {
  pname = "measured";
  version = "0.1";
  nativeBuildInputs = [ meson ninja ];
  src = runCommand "measured-src" { } ''
    mkdir -p "$out"
    cd "$out"
    printf '#include <stdio.h>\nint main(void) { puts(WORD); return 0; }\n' >main.c
    echo "option('word', type: 'string', value: '-')" >meson_options.txt
    cat >meson.build <<'END'
    project('measured', 'c', version: '0.1')
    exe = executable('measured', 'main.c', c_args: '-DWORD="' + get_option('word') + '"', install: true)
    test('runs', exe)
    install_data('meson_options.txt', install_tag: 'doc')
    END
  '';
  mesonFlags = [ "-Dword=meson" ];
  mesonBuildType = "debugoptimized";
  preConfigure = trace "preConfigure";
  doCheck = true;
  postCheck = trace "postCheck";
  mesonInstallTags = [ "runtime" "doc" ];
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  passthru.mutation.reads = {
    checkPhase = "configure";
    installPhase = "configure";
    enableParallelBuilding = "configure";
  };
}
