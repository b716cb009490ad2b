{ stdenv, lib }:
stdenv.mkDerivation ({
  name = "conditional";
  doCheck = true;
} // lib.optionalAttrs stdenv.isLinux { doCheck = false; patches = [ ./a ]; })
