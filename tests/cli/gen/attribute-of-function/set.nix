{ stdenv }: { greet = stdenv.mkDerivation { name = "greet-of-function"; }; }
