{ stdenv }:
# ÿş
stdenv
