# A dependent with structured attributes: finds the library by its development output, pkg-config and run path.
{
  stdenv,
  three-outputs,
  pkg-config,
  makeWrapper,
  installShellFiles,
}:
stdenv.mkDerivation {
  name = "uses-library-1";
  __structuredAttrs = true;
  strictDeps = true;
  env.WHO = "me and \"you\"";
  words = [
    "one word"
    "two"
  ];
  buildInputs = [ three-outputs ];
  nativeBuildInputs = [
    pkg-config
    makeWrapper
    installShellFiles
  ];
  dontUnpack = true;
  makeFlags = [ "NAME=with space" ];
  buildPhase = ''
    runHook preBuild
    echo '#include <answer.h>
    #include <stdio.h>
    int main(int n, char **v) { printf("%s %d %s\n", v[0], answer(), n > 1 ? v[1] : "-"); return 0; }' >user.c
    $CC user.c $LDFLAGS $(pkg-config --cflags --libs answer) -o user
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    installBin user
    echo '.TH USER 1' >user.1
    installManPage user.1
    installShellCompletion --cmd user --bash <(echo one) --zsh <(echo two) --fish <(echo three)
    wrapProgram "$out/bin/user" --set-default WORD 'a b' --prefix PATH : /extra --add-flags 'first'
    runHook postInstall
  '';
  doInstallCheck = true;
  installCheckPhase = ''
    set -x
    [[ $(printenv WHO) == 'me and "you"' && ''${words[0]} == "one word" ]]
    [[ $("$out/bin/user") == "$out/bin/user 42 first" ]]
    [[ -f $out/share/zsh/site-functions/_user && -f $out/share/fish/vendor_completions.d/user.fish ]]
    [[ -f $out/share/bash-completion/completions/user.bash && -f $out/share/man/man1/user.1.gz ]]
  '';
  outputChecks.out.disallowedReferences = [ three-outputs.man ];
}
