//! The check at build time behind held-back attributes: each way in which a stage may read an attribute that it does not
//! have. Every package here gives another result split than unsplit; the build must refuse instead, and say what to add.

use crate::support::{Project, salt};

/// The host set's packages that these tests are made of: a hook with this text, and more attributes. The package installs
/// what its phases left in `early`.
fn with(hook: &str, attributes: &str) -> Project {
    let hook = hook.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${").replace('\n', "\\n");
    let project = Project::new(&format!(
        r#"{{ stdenv, makeSetupHook }}:
stdenv.mkDerivation ({{
  name = "held-back";
  salt = "{}";
  dontUnpack = true;
  nativeBuildInputs = [ (makeSetupHook {{ name = "early-hook"; }} (builtins.toFile "early-hook.sh" "{hook}")) ];
  buildPhase = "runHook preBuild";
  installFlags = "x";
  installPhase = "mkdir -p $out; touch early; cp early $out/";
}} // {{ {attributes} }})
"#,
        salt()
    ));
    project.generate(&[]);
    project
}

#[track_caller]
fn refused(hook: &str, attributes: &str, parts: &[&str]) {
    let log = with(hook, attributes).build_fails("phases.finish");
    for part in parts {
        assert!(log.contains(part), "`{part}` is missing from:\n{log}");
    }
}

fn equal(hook: &str, attributes: &str) {
    let project = with(hook, attributes);
    project.build("phases.finish");
    project.assert_equal();
}

const HELD: &str = "the attribute installFlags was held back until here, but stage ";

#[test]
fn a_hook_that_reads_it_while_it_is_sourced() {
    refused(
        "export EARLY=${installFlags-}\nfromEnvironment() { echo \"$EARLY\" >early; }\npreBuildHooks+=(fromEnvironment)\n",
        "",
        &[HELD, "the top-level code of the setup hook /nix/store/", "scope.installFlags = \"configure\";"],
    );
    // A function that the hook runs right there, by way of the inputs' hooks.
    refused(
        "noteInput() { : \"${EARLY:=${installFlags-}}\"; }\naddEnvHooks \"$hostOffset\" noteInput\nwriteEarly() { echo \"$EARLY\" >early; }\npreBuildHooks+=(writeEarly)\n",
        "",
        &[HELD, "reads it in the function noteInput", "--scope installFlags=configure"],
    );
    // Choosing a later phase is no such read, nor is hooking into one.
    equal(
        "if [[ -z ${installPhase-} ]]; then installPhase=otherPhase; fi\nif [[ -n ${installFlags-} ]]; then preInstallHooks+=(writeEarly); fi\nwriteEarly() { echo $installFlags >early; }\n",
        "installPhase = \"runHook preInstall; mkdir $out; cp early $out\";",
    );
}

#[test]
fn a_hook_that_puts_the_name_together() {
    refused(
        "readEarly() { local stage=install; local name=${stage}Flags; echo ${!name} >early; }\npreBuildHooks+=(readEarly)\n",
        "",
        &[HELD, "may read it as ${stage}Flags in the function readEarly", "scope.installFlags = \"build\";"],
    );
    refused(
        "readEarly() { local -a flags=(); local stage=install; concatTo flags \"${stage}Flags\"; echo \"${flags[@]}\" >early; }\npreBuildHooks+=(readEarly)\n",
        "",
        &[HELD, "may read it as ${stage}Flags in the function readEarly"],
    );
    refused(
        "readEarly() { local a=install b=Flags; local c=$a$b; eval \"echo \\$$c\" >early; }\npreBuildHooks+=(readEarly)\n",
        "",
        &[HELD, "may put its name together in the function readEarly"],
    );
    refused(
        "readEarly() { local name; for name in \"${!install@}\"; do echo $name; done >early; }\npreBuildHooks+=(readEarly)\n",
        "",
        &[HELD, "may read it as ${!install@} in the function readEarly"],
    );
}

#[test]
fn a_hook_that_reads_the_whole_environment() {
    for (body, what) in [
        ("env | grep -c Flags >early || true", "(env)"),
        ("export -p | grep -c Flags >early || true", "(export -p)"),
        ("(set) | grep -c Flags >early || true", "(set)"),
        ("printenv >all; grep -c Flags all >early || true", "(printenv)"),
        ("printf '@%sFlags@' install >in; substituteAll in early", "(substituteAll in early)"),
    ] {
        refused(
            &format!("readEarly() {{ {body}; }}\npreBuildHooks+=(readEarly)\n"),
            "",
            &[
                "installFlags",
                "was held back until here, but stage build reads every variable",
                what,
                "in the function readEarly",
                "readsAll = \"build\";",
                "--reads-all build",
            ],
        );
    }
}

#[test]
fn structured_attributes_read_from_their_files() {
    let structured = "__structuredAttrs = true; strictDeps = true;";
    refused(
        "readEarly() { cp \"$NIX_ATTRS_JSON_FILE\" all; grep -o '\"install[F]lags\"[^,]*' all >early || true; }\npreBuildHooks+=(readEarly)\n",
        structured,
        &["was held back until here, but stage build reads every variable (cp", "readsAll = \"build\";"],
    );
    refused(
        "readEarly() { grep -o '\"installFlags\"[^,]*' \"$NIX_ATTRS_JSON_FILE\" >early || true; }\npreBuildHooks+=(readEarly)\n",
        structured,
        &[HELD, "reads it in the function readEarly"],
    );
}

/// A package whose source is one file, which its build runs.
fn source(file: &str, text: &str, run: &str) -> String {
    let text = text.replace("${", "\\${").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!(
        "dontUnpack = false; nativeBuildInputs = []; unpackPhase = \"mkdir source; cp $source source/{file}; sourceRoot=source\"; \
         source = builtins.toFile \"source\" \"{text}\"; buildPhase = \"{run}\";"
    )
}

#[test]
fn a_source_that_reads_it_from_its_environment() {
    refused(
        "",
        &source("build.sh", "echo \"flags: ${installFlags-none}\" >early\n", "bash build.sh"),
        &[
            HELD,
            "stage configure may read it from its environment: source/build.sh, a file in the build directory, does",
            "scope.installFlags = \"configure\";",
        ],
    );
    refused("", &source("Makefile", "early:\n\techo $(installFlags) >early\n", "make"), &[HELD, "source/Makefile"]);
    // One that a phase writes and runs.
    refused(
        "",
        &source("in", "echo @\"installFlags\" >early\n", "tr @ '$' <in | tr -d '\\\"' >made.sh; bash made.sh"),
        &[HELD, "stage build may read it from its environment: source/made.sh"],
    );
    // Named, but not read.
    equal("", &source("build.sh", "echo installFlags >early\n", "bash build.sh"));
}

#[test]
fn a_phase_that_sets_it_as_anything() {
    for (body, who) in [
        ("declare -ga $name='(a b)'", "stage build sets it"),
        ("declare -gA $name; eval \"$name[k]=v\"", "stage build sets it"),
        ("eval \"$name() { :; }\"", "stage build defines a function of that name"),
    ] {
        // The name is put together where no text can show it.
        refused(
            &format!("setEarly() {{ local name; name=$(tr a-z b-za <coded); {body}; }}\npreBuildHooks+=(setEarly)\n"),
            "preConfigure = \"echo hmrszkkFkzfr >coded\"; configurePhase = \"runHook preConfigure\";",
            &[HELD, who, "scope.installFlags = \"build\";"],
        );
    }
}
