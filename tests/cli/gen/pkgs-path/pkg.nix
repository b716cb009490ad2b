{ stdenv }: stdenv.mkDerivation { name = "simple"; src = ./.; }
