{ stdenv }: { version }: stdenv.mkDerivation { name = "x-${version}"; }
