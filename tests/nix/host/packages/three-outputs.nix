# CMake and Ninja with three outputs: files go where they belong, and dependents find them through `dev`.
{
  stdenv,
  cmake,
  ninja,
  runCommand,
}:
stdenv.mkDerivation {
  pname = "answer";
  version = "42.0";
  outputs = [
    "out"
    "dev"
    "man"
  ];
  nativeBuildInputs = [
    cmake
    ninja
  ];
  cmakeFlags = [ "-DEXTRA=one" ];
  src = runCommand "answer-src" { } ''
    mkdir -p "$out"
    cd "$out"
    echo 'int answer(void) { return 42; }' >answer.c
    echo 'int answer(void);' >answer.h
    printf '#include "answer.h"\nint main(void) { return answer() != 42; }\n' >ask.c
    printf '.TH ANSWER 3\n' >answer.3
    printf 'prefix=@CMAKE_INSTALL_PREFIX@\nlibdir=@CMAKE_INSTALL_LIBDIR@\nincludedir=''${prefix}/include\nName: answer\nDescription: -\nVersion: 42\nLibs: -L''${libdir} -lanswer\nCflags: -I''${includedir}\n' >answer.pc.in
    cat >CMakeLists.txt <<'EOF'
    cmake_minimum_required(VERSION 3.13)
    project(answer C)
    include(GNUInstallDirs)
    enable_testing()
    add_library(answer SHARED answer.c)
    add_executable(ask ask.c)
    target_link_libraries(ask answer)
    add_test(NAME ask COMMAND ask)
    configure_file(answer.pc.in answer.pc @ONLY)
    install(TARGETS answer ask)
    install(FILES answer.h DESTINATION ''${CMAKE_INSTALL_INCLUDEDIR})
    install(FILES answer.3 DESTINATION share/man/man3)
    install(FILES ''${CMAKE_CURRENT_BINARY_DIR}/answer.pc DESTINATION lib/pkgconfig)
    EOF
  '';
  doCheck = true;
  doInstallCheck = true;
  installCheckPhase = ''
    set -x
    "$out/bin/ask"
    [[ -f $dev/include/answer.h && -f $dev/lib/pkgconfig/answer.pc && -f $man/share/man/man3/answer.3.gz ]]
    [[ ! -e $out/include && ! -e $out/share ]]
    ninja -C . -d explain -n install 2>&1 | tee explained
    # The step that installs is never up to date; nothing before it may run again.
    ! grep dirty explained | grep -v install.util
  '';
}
