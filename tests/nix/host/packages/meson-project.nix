# Meson: configure, build, check and install by its own phases.
{
  stdenv,
  meson,
  ninja,
  pkg-config,
  three-outputs,
  runCommand,
}:
stdenv.mkDerivation {
  pname = "measured";
  version = "0.1";
  nativeBuildInputs = [
    meson
    ninja
    pkg-config
  ];
  buildInputs = [ three-outputs ];
  mesonFlags = [ "-Dword=meson" ];
  src = runCommand "measured-src" { } ''
    mkdir -p "$out"
    cd "$out"
    printf '#include <answer.h>\n#include <stdio.h>\nint main(void) { puts(WORD); return answer() - 42; }\n' >main.c
    echo "option('word', type: 'string', value: '-')" >meson_options.txt
    cat >meson.build <<'EOF'
    project('measured', 'c', version: '0.1')
    exe = executable('measured', 'main.c', dependencies: dependency('answer'),
      c_args: '-DWORD="' + get_option('word') + '"', install: true)
    test('runs', exe)
    EOF
  '';
  doCheck = true;
  doInstallCheck = true;
  installCheckPhase = ''
    [[ $("$out/bin/measured") == meson ]]
  '';
}
