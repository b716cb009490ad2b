# A small C++ program that takes a while to compile: its picture is computed by the compiler.
{ stdenv, lib }:

stdenv.mkDerivation {
  pname = "fractal";
  version = "1.0";
  src = ./src;

  doCheck = true;
  checkTarget = "test";

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/share/doc/fractal
    cp fractal $out/bin/
    echo "a fractal" > $out/share/doc/fractal/README
    runHook postInstall
  '';

  meta = {
    description = "The Mandelbrot set, drawn while it is compiled";
    license = lib.licenses.mit;
    mainProgram = "fractal";
  };
}
