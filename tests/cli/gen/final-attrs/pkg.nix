{ stdenv }:
stdenv.mkDerivation (finalAttrs: {
  pname = "final";
  version = "1";
  name = "${finalAttrs.pname}-${finalAttrs.version}";
  preFixup = "true";
})
