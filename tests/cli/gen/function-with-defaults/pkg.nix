{ pkgs ? import <nixpkgs> { } }:
with pkgs;
stdenv.mkDerivation { name = "defaults"; src = ./.; doCheck = true; }
