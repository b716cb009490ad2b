//! Roads by which a stage could read an attribute that it does not have: the source in all its forms, scripts of early
//! phases, files of the store, hooks. On each the split build refuses and names the attribute; where nothing reads, the
//! result is the unsplit one.

use crate::support::{Project, salt};

/// A package with one source file, and what the test adds. It installs `built`.
fn project(file: &str, text: &str, attributes: &str) -> Project {
    let text =
        text.replace('\\', "\\\\").replace("${", "\\${").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    let project = Project::new(&format!(
        r#"{{ stdenv, makeSetupHook }}:
stdenv.mkDerivation ({{
  name = "readers";
  salt = "{}";
  text = builtins.toFile "text" "{text}";
  unpackPhase = "mkdir source; cp $text source/{file}; sourceRoot=source";
  installFlags = "one";
  installPhase = "mkdir -p $out; touch built; cp built $out/";
}} // {{ {attributes} }})
"#,
        salt()
    ));
    project.generate(&[]);
    project
}

#[track_caller]
fn refused(file: &str, text: &str, attributes: &str, parts: &[&str]) {
    let log = project(file, text, attributes).build_fails("phases.finish");
    for part in parts.iter().chain(&["was held back until here, but stage "]) {
        assert!(log.contains(part), "`{part}` is missing from:\n{log}");
    }
}

#[track_caller]
fn equal(file: &str, text: &str, attributes: &str) {
    let project = project(file, text, attributes);
    project.build("phases.finish");
    project.assert_equal();
}

#[test]
fn a_generator_that_post_patch_runs() {
    refused(
        "autogen.sh",
        "echo \"for: $configureFlags\" >built\n",
        "postPatch = \"bash ./autogen.sh\"; configureFlags = \"--one\"; configurePhase = \"true\";",
        &[
            "the attribute configureFlags",
            "stage patch may read it from its environment: source/autogen.sh",
            "scope.configureFlags = \"patch\";",
        ],
    );
    // Where it is not run before configure has the attribute.
    equal(
        "autogen.sh",
        "echo \"for: $configureFlags\" >built\n",
        "postPatch = \"sed -i s/for/of/ autogen.sh\"; configureFlags = \"--one\"; configurePhase = \"bash ./autogen.sh\";",
    );
}

#[test]
fn a_source_that_lists_its_environment() {
    for (file, text, run, part) in [
        ("build.sh", "env | grep -a Flags= >built || :\n", "bash ./build.sh", "the attribute installFlags"),
        (
            "build.sh",
            "env | sort >built\n",
            "bash ./build.sh",
            "may read every variable from its environment: source/build.sh (env | sort >built)",
        ),
        (
            "build.py",
            "import os\nopen('built', 'w').write(str(dict(os.environ)))\n",
            "python3 build.py",
            "source/build.py",
        ),
        (
            "build.pl",
            "print map { \"$_ $ENV{$_}\\n\" } grep { /Flags$/ } keys %ENV;\n",
            "perl build.pl >built",
            "source/build.pl",
        ),
        ("Makefile", "built:\n\tenv | grep Flags= >built || :\n", "make", "source/Makefile"),
    ] {
        refused(file, text, &format!("buildPhase = \"{run}\";"), &[part]);
    }
}

#[test]
fn a_name_that_the_source_has_in_a_list_or_a_constant() {
    for (file, text, run) in [
        (
            "build.py",
            "import os\nopen('built', 'w').write(os.environ.get(\n    'installFlags', 'none'))\n",
            "python3 build.py",
        ),
        (
            "build.py",
            "import os\nW = ('x', 'installFlags')\nopen('built', 'w').write(str([os.environ.get(n) for n in W]))\n",
            "python3 build.py",
        ),
        (
            "tool.c",
            "#include <stdio.h>\n#include <stdlib.h>\n#define V \"installFlags\"\nint main(void) { puts(getenv(V) ? getenv(V) : \"none\"); }\n",
            "cc -o tool tool.c; ./tool >built",
        ),
        ("Makefile", "V := installFlags\nbuilt:\n\techo '$(value $(V))' >built\n", "make"),
        ("Makefile", "D := install\nbuilt:\n\techo '$($(D)Flags)' >built\n", "make"),
        ("build.pl", "print join ' ', @ENV{qw(installFlags x)};\n", "perl build.pl >built"),
    ] {
        refused(
            file,
            text,
            &format!("buildPhase = \"{run}\";"),
            &["the attribute installFlags", &format!("source/{file}")],
        );
    }
}

#[test]
fn the_file_of_all_attributes() {
    refused(
        "build.py",
        "import json, os\nopen('built', 'w').write(str(json.load(open(os.environ['NIX_ATTRS_JSON_FILE'])).get('x')))\n",
        "__structuredAttrs = true; buildPhase = \"python3 build.py\";",
        &["may read every variable from its environment: source/build.py (NIX_ATTRS_JSON_FILE)"],
    );
    // Gone by the end of the stage that read it.
    refused(
        "build.py",
        "import json, os\nopen('built', 'w').write(str(json.load(open('../.attrs.json')).get('x')))\n",
        "__structuredAttrs = true; buildPhase = \"python3 build.py; rm ../.attrs.json\";",
        &["may read every variable from its environment: source/build.py (.attrs.json)"],
    );
}

/// They are searched like any other: what is Nix's or stdenv's own is known by how it was made, not by its name.
#[test]
fn a_file_of_the_package_under_a_name_of_nix() {
    for name in [".attr-build", ".attrs.sh", ".attrs.json", "env-vars", ".phasesplit"] {
        // In two pieces, since a phase that names the file of all attributes has them all.
        let (head, tail) = name.split_at(name.len() - 3);
        let place = if name == "env-vars" { "noDumpEnvVars = 1;" } else { "" };
        refused(
            "x",
            "echo \"for: $installFlags\" >built\n",
            &format!(
                "unpackPhase = \"n={head}; n+={tail}; cp $text $n; sourceRoot=.\"; buildPhase = \"bash ./$n\"; {place}
                 installPhase = \"mkdir $out; cp built $out/\";"
            ),
            &["the attribute installFlags", &format!(": {name}, a file in the build directory, does")],
        );
    }
}

#[test]
fn scripts_of_the_store() {
    let script = "builtins.toFile \"helper.sh\" \"echo $installFlags >built\"";
    let part = "the attribute installFlags";
    refused(
        "x",
        "",
        &format!("postPatch = \"ln -s ${{{script}}} build.sh\"; buildPhase = \"bash build.sh\";"),
        &[part],
    );
    refused(
        "x",
        "",
        &format!("buildPhase = \"bash ${{{script}}}\";"),
        &[part, "helper.sh, which its phases name, does"],
    );
    refused("x", "", &format!("dontUnpack = true; src = {script}; buildPhase = \"bash $src\";"), &[part]);
    // Copied, and run by nobody before install.
    equal("x", "", &format!("postUnpack = \"cat ${{{script}}} >/dev/null\";"));
}

#[test]
fn the_environment_by_the_kernel() {
    refused(
        "build.sh",
        "tr '\\0' '\\n' </proc/self/environ | grep -a '^instal.Flags' >built || :\n",
        "buildPhase = \"bash build.sh\";",
        &["installFlags"],
    );
}

/// The attribute with a hook of this text.
fn hook(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace("${", "\\${").replace('"', "\\\"").replace('\n', "\\n");
    format!(
        "nativeBuildInputs = [ (makeSetupHook {{ name = \"test-hook\"; }} (builtins.toFile \"test-hook.sh\" \"{text}\")) ]; buildPhase = \"runHook preBuild\";"
    )
}

#[test]
fn a_hook_that_has_others_list_the_environment() {
    for body in ["bash -c env", "echo | xargs env", "e=env; $e", "perl -e 'print %ENV'", "cat /proc/self/environ"] {
        refused(
            "x",
            "",
            &hook(&format!(
                "recordAll() {{ {body} >all; grep -ac Flags= all >built || :; }}\npreBuildHooks+=(recordAll)\n"
            )),
            &["stage build reads every variable", "in the function recordAll"],
        );
    }
}

#[test]
fn a_file_that_a_hook_sources_from_the_tree() {
    refused(
        "settings.sh",
        "unset postInstall\n",
        &format!(
            "{} postInstall = \"touch $out/more\";",
            hook("applySettings() { . ./settings.sh; }\npreBuildHooks+=(applySettings)\n")
        ),
        &["the attribute postInstall", "reads it in the file ./settings.sh"],
    );
}

/// As all Perl modules of nixpkgs with several outputs have it.
#[test]
fn a_builder_script_that_wraps_a_later_hook() {
    let builder = r#"builtins.toFile "builder.sh" "source $stdenv/setup\noldPreConfigure=\"\${preConfigure-}\"\npreConfigure() { eval \"$oldPreConfigure\"; }\ngenericBuild\n""#;
    let hook = "preConfigureHooks+=(addFlags)\naddFlags() { configureFlags=\"--extra $configureFlags\"; }\n";
    equal(
        "x",
        "",
        &format!(
            "{} builder = {builder}; configureFlags = [ \"--own\" ]; configurePhase = \"runHook preConfigure; echo $configureFlags >built\";",
            self::hook(hook)
        ),
    );
}

#[test]
fn a_list_that_may_read_nothing_is_reported() {
    let project = project("check.sh", "env\n", "buildPhase = \"bash check.sh\";");
    let (_, log) = project.build("phases.finish");
    assert!(log.contains("not proven that the source reads no attribute that is held back: it lists its environment in source/check.sh (env)"), "{log}");
}

#[test]
fn what_is_unpacked_run_and_removed_within_one_stage() {
    refused(
        "run.sh",
        "echo \"$installFlags\" >built\n",
        r#"unpackPhase = "mkdir source in; cp $text in/run.sh; tar -czf source/x.tgz in; rm -r in; sourceRoot=source";
           buildPhase = "tar -xf x.tgz; bash in/run.sh; rm -r in";"#,
        &["the attribute installFlags", "may read it from its environment: source/x.tgz/in/run.sh"],
    );
}
