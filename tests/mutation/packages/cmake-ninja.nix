# CMake and Ninja, with a test.
{ stdenv, cmake, ninja, runCommand, trace }:
stdenv.mkDerivation {
  pname = "cmake-ninja";
  version = "3";
  nativeBuildInputs = [ cmake ninja ];
  src = runCommand "cmake-ninja-src" { } ''
    mkdir -p "$out"
    cd "$out"
    echo 'int main(void) { return VALUE - 42; }' >ask.c
    cat >CMakeLists.txt <<'END'
    cmake_minimum_required(VERSION 3.13)
    project(ask C)
    enable_testing()
    set(VALUE 42 CACHE STRING "what it asks for")
    add_executable(ask ask.c)
    target_compile_definitions(ask PRIVATE VALUE=''${VALUE})
    add_test(NAME ask COMMAND ask)
    file(WRITE ''${CMAKE_BINARY_DIR}/options "testing ''${BUILD_TESTING}, type ''${CMAKE_BUILD_TYPE}, value ''${VALUE}\n")
    install(TARGETS ask)
    install(FILES ''${CMAKE_BINARY_DIR}/options DESTINATION share)
    END
  '';
  cmakeFlags = [ "-DVALUE=42" ];
  cmakeBuildType = "MinSizeRel";
  preConfigure = trace "preConfigure";
  postConfigure = trace "postConfigure";
  preBuild = trace "preBuild";
  ninjaFlags = [ "-v" ];
  doCheck = true;
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  postFixup = "echo postFixup >>$out/trace";
  # The hook of cmake asks whether there will be tests.
  passthru.mutation.reads = {
    doCheck = "configure";
    buildPhase = "configure";
    enableParallelBuilding = "configure";
    enableParallelChecking = "configure";
    enableParallelInstalling = "configure";
    cmakeBuildType = "configure";
    ninjaFlags = "build";
  };
}
