# `mirror://NAME/…` as nixpkgs packages write it, to the projects' own servers.
{ lib }:
let
  mirrors = {
    gnu = "https://ftp.gnu.org/gnu/";
    savannah = "https://download.savannah.gnu.org/releases/";
    sourceforge = "https://downloads.sourceforge.net/";
    kernel = "https://cdn.kernel.org/pub/";
    gnome = "https://download.gnome.org/";
    apache = "https://downloads.apache.org/";
    cpan = "https://www.cpan.org/";
  };
in
url:
let
  parts = builtins.match "mirror://([a-z]+)/(.*)" url;
  name = builtins.head parts;
in
if parts == null then
  url
else if mirrors ? ${name} then
  mirrors.${name} + builtins.elemAt parts 1
else
  throw "fetchurl: mirror://${name}/ is not known to the host package set (${lib.concatStringsSep ", " (lib.attrNames mirrors)})"
