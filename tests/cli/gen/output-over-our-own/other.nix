{ stdenv }: stdenv.mkDerivation { name = "other"; src = ./.; }
