# A small package that has every phase, for the tests of reuse: each edit must build exactly the stages it should.
# `salt` makes one run of the tests independent of what earlier runs left in the store.
{
  stdenv,
  salt ? "none",
  source ? ./reuse-source,
}:
stdenv.mkDerivation {
  pname = "reuse";
  version = "1.0";
  src = source;
  inherit salt;

  configureFlags = [ "--with-greeting=hello" ];
  buildFlags = [ "all" ];
  doCheck = true;
  doInstallCheck = true;

  postPatch = "true";
  postInstall = ''
    echo installed >$out/installed
  '';
  preFixup = "true";
  postFixup = "true";
  installCheckPhase = ''
    $out/bin/greet | grep -q greeting
  '';
  meta.description = "prints a greeting";
}
