# Structured attributes: lists of words with spaces, an environment, a set, a number.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  name = "structured-1";
  __structuredAttrs = true;
  src = runCommand "structured-src" { } ''
    mkdir -p "$out"
    echo 'word = none' >"$out/config"
    printf 'all:\n\techo "made $(word) $(WHO)" >>trace-of-make\ninstall:\n\tcp trace-of-make $(dest)/made\n' >"$out/Makefile"
  '';
  env.WHO = "me and \"you\"";
  words = [ "one word" "two" ];
  nested = { name = "inner"; other = "one"; };
  answer = 42;
  postPatch = trace "postPatch";
  preConfigure = trace "preConfigure" + ''
    printf '<%s>' "''${words[@]}" >>"$NIX_BUILD_TOP/trace"
  '';
  makeFlags = [ "word=with space" ];
  buildFlags = [ "all" ];
  postBuild = trace "postBuild \${makeFlags[*]} $answer" + ''
    echo "''${nested[name]-}" >>"$NIX_BUILD_TOP/trace"
  '';
  preInstall = "mkdir -p $out; appendToVar installFlags dest=$out";
  installFlags = [ "extra=a b" ];
  installTargets = [ "install" ];
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  stripDebugList = [ "bin" "lib" ];
  outputChecks.out.disallowedReferences = [ stdenv ];
  passthru.mutation.reads = {
    WHO = "build";
    words = "configure";
    nested = "build";
    answer = "build";
  };
}
