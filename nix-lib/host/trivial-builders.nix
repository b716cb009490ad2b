# Packages that are one command or one text.
{ lib, stdenv, stdenvNoCC }:
let
  runWith =
    env: name: attrs: buildCommand:
    env.mkDerivation (
      {
        inherit name buildCommand;
        passAsFile = [ "buildCommand" ] ++ (attrs.passAsFile or [ ]);
      }
      // removeAttrs attrs [ "passAsFile" ]
    );
in
rec {
  runCommand = runWith stdenvNoCC;
  runCommandCC = runWith stdenv;
  runCommandLocal =
    name: attrs:
    runCommand name (
      {
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      // attrs
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      # Where in the output the file lies; empty: the output is the file.
      destination ? "",
      checkPhase ? "",
      meta ? { },
      ...
    }:
    runCommandLocal name
      {
        inherit text executable destination checkPhase;
        passAsFile = [ "text" ];
        meta =
          lib.optionalAttrs (lib.hasPrefix "/bin/" destination) { mainProgram = baseNameOf destination; } // meta;
      }
      ''
        target="$out$destination"
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        if [[ -n $executable ]]; then chmod +x "$target"; fi
        eval "$checkPhase"
      '';
  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir =
    path: text:
    writeTextFile {
      inherit text;
      name = baseNameOf path;
      destination = "/${path}";
    };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
    };
  writeShellScript =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      text = "#!${stdenv.shell}\n${text}\n";
      checkPhase = ''${stdenv.shell} -n "$target"'';
    };
  writeShellScriptBin =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      text = "#!${stdenv.shell}\n${text}\n";
      checkPhase = ''${stdenv.shell} -n "$target"'';
    };
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      ...
    }:
    writeShellScriptBin name ''
      set -o errexit -o nounset -o pipefail
      ${lib.optionalString (runtimeInputs != [ ]) ''export PATH="${lib.makeBinPath runtimeInputs}:$PATH"''}
      ${text}
    '';

  symlinkJoin =
    {
      name,
      paths,
      postBuild ? "",
      ...
    }@args:
    runCommandLocal name
      (removeAttrs args [ "name" "postBuild" ] // { inherit paths; })
      ''
        mkdir -p "$out"
        for path in $paths; do cp -rsf --no-preserve=mode "$path/." "$out/"; done
        ${postBuild}
      '';
}
