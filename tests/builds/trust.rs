//! How boldly attributes and inputs are held back, built: each level builds exactly what it promises, and what it holds
//! back wrongly is refused with a line that mends it.

use std::fs;

use crate::support::{Project, salt};

const ALL: &[&str] = &["configure", "build", "install", "finish"];
const LATE: &[&str] = &["install", "finish"];

/// A package with an attribute of its own and a program to wrap; `inputs` are its native inputs, `more` further
/// attributes.
fn package(salt: &str, inputs: &str, more: &str) -> String {
    format!(
        r#"{{ stdenv, makeSetupHook, makeWrapper, installShellFiles }}:
let
  # The same hook, changed.
  changedWrapper = makeSetupHook {{ name = "make-wrapper-hook"; }} (
    builtins.toFile "make-wrapper.sh" ''
      wrapProgram() {{ echo "echo changed" >>"$1"; }}
    ''
  );
in
stdenv.mkDerivation ({{
  name = "trusting";
  salt = "{salt}";
  dontUnpack = true;
  nativeBuildInputs = [ {inputs} ];
  manualFormat = "text";
  installFlags = "x";
  buildPhase = ''
    runHook preBuild
    printf '#!/bin/sh\necho built\n' >program
    chmod +x program
    echo '.TH program 1' >program.1
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    mkdir -p "$out/bin"
    cp program "$out/bin/"
    echo "$manualFormat" >"$out/manual"
    runHook postInstall
  '';
}} // {{ {more} }})
"#
    )
}

const WRAPS: &str = r#"postInstall = "wrapProgram $out/bin/program --set FOO bar";"#;

#[track_caller]
fn builds(project: &Project, package: &str, options: &[&str], expected: &[&str]) {
    project.write(package);
    project.generate(options);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, expected, "{package}");
    project.assert_equal();
}

#[test]
fn text_holds_back_its_own_attributes() {
    let salt = salt();
    let options = &["--trust", "text"][..];
    let project = Project::new("");
    builds(&project, &package(&salt, "", ""), options, ALL);
    builds(&project, &package(&salt, "", r#"manualFormat = "html";"#), options, LATE);
    // As it was.
    builds(&project, &package(&salt, "", ""), options, &[]);
    // The stages before were told of no such name.
    let named = r#"manualName = "x"; preFixup = "echo $manualName >$out/name";"#;
    builds(&project, &package(&salt, "", named), options, ALL);
    // An earlier script that mentions it has it.
    let early = r#"postBuild = "echo $manualFormat >>program.1";"#;
    for format in ["html", "text"] {
        let text = package(&salt, "", &format!("{early} manualFormat = \"{format}\";"));
        builds(&project, &text, options, &["build", "install", "finish"]);
    }
}

#[test]
fn text_holds_back_late_inputs() {
    let salt = salt();
    let options = &["--trust", "text"][..];
    let project = Project::new("");
    builds(&project, &package(&salt, "makeWrapper", WRAPS), options, ALL);
    builds(&project, &package(&salt, "changedWrapper", WRAPS), options, LATE);
    let both = r#"postInstall = "wrapProgram $out/bin/program; installManPage program.1";"#;
    builds(&project, &package(&salt, "makeWrapper installShellFiles", both), options, LATE);
    let manual = r#"postInstall = "installManPage program.1";"#;
    builds(&project, &package(&salt, "installShellFiles", manual), options, LATE);
    // What an earlier script uses is there.
    let uses = r#"postBuild = "declare -F wrapProgram >>program.1";"#;
    builds(
        &project,
        &package(&salt, "makeWrapper", &format!("{uses} {WRAPS}")),
        options,
        &["build", "install", "finish"],
    );
    builds(
        &project,
        &package(&salt, "changedWrapper", &format!("{uses} {WRAPS}")),
        options,
        &["build", "install", "finish"],
    );
}

/// The comparison of these tests sees what a late input that is lost would make.
#[test]
fn a_program_that_is_not_wrapped_is_seen() {
    let salt = salt();
    let project = Project::new(&package(&salt, "makeWrapper", WRAPS));
    project.generate(&["--trust", "text"]);
    project.build("phases.finish");
    let split = project.outputs("phases.finish");
    project.write(&package(&salt, "makeWrapper", ""));
    let report = phasesplit::compare::compare_packages(&split, &project.outputs("unsplit")).expect("both can be read");
    assert!(!report.is_equal(), "a planted difference is not seen:\n{report}");
}

/// A hook whose function this is, before build.
fn early(body: &str) -> String {
    format!(
        "(makeSetupHook {{ name = \"early-hook\"; }} (builtins.toFile \"early-hook.sh\" ''\n  early() {{ {body}; }}\n  postBuildHooks+=(early)\n''))"
    )
}

/// Puts a line into the arguments of split.
fn paste(project: &Project, line: &str) {
    let file = project.path().join("split.nix");
    let split = fs::read_to_string(&file).expect("split.nix");
    let arguments = "inherit package chain engines;";
    assert_eq!(split.matches(arguments).count(), 1, "split is called once:\n{split}");
    fs::write(&file, split.replace(arguments, &format!("{arguments} {line}"))).expect("split.nix is written");
}

/// What stands between two texts of the log.
#[track_caller]
fn between<'l>(log: &'l str, begin: &str, end: &str) -> &'l str {
    let Some((_, rest)) = log.split_once(begin) else { panic!("`{begin}` is missing from:\n{log}") };
    let Some((found, _)) = rest.split_once(end) else { panic!("`{end}` is missing from:\n{log}") };
    found
}

#[track_caller]
fn refused_and_mended(input: &str) {
    let hook = early("if declare -F wrapProgram >/dev/null; then echo echo wrapped >>program; fi");
    let project = Project::new(&package(&salt(), &format!("{input} {hook}"), WRAPS));
    project.generate(&["--trust", "text"]);
    let log = project.build_fails("phases.finish");
    for part in
        ["the input makeWrapper, which brings wrapProgram, was held back", "stage build reads it in the function early"]
    {
        assert!(log.contains(part), "`{part}` is missing from:\n{log}");
    }
    // The line it gives mends it.
    let line = between(&log, "(lateInputs.build", ")");
    paste(&project, &format!("lateInputs.build{line}"));
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["build", "install", "finish"]);
    project.assert_equal();
}

#[test]
fn a_hook_that_uses_a_late_input_is_refused() {
    refused_and_mended("makeWrapper");
}

/// Several inputs bring commands of these names: they go by one word.
#[test]
fn whichever_input_brings_the_command() {
    refused_and_mended(
        "(makeSetupHook { name = \"make-binary-wrapper-hook\"; } (builtins.toFile \"hook.sh\" \"wrapProgram() { echo echo binary >>$1; }\"))",
    );
}

/// The refusal's line works where it may stand: in split.nix, in the package, and on the command line.
#[track_caller]
fn mended(hook: &str, argument: &str, option: &str) {
    let text = package(&salt(), hook, "");
    let project = Project::new(&text);
    project.generate(&[]);
    let log = project.build_fails("phases.finish");
    let line = format!("{argument}{}", between(&log, &format!("add  {argument}"), "  to the arguments of split"));
    paste(&project, &line);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["build", "install", "finish"], "{line}");
    project.assert_equal();

    project.write(&text.replace("dontUnpack", &format!("passthru.phasesplit.{line}\n  dontUnpack")));
    project.generate(&[]);
    let (built, _) = project.build("phases.finish");
    assert!(built.is_empty(), "passthru.phasesplit.{line} built {built:?}");

    project.write(&text);
    let words = between(&log, &format!("or  {option} "), "  on the command line");
    project.generate(&[option, words]);
    let (built, _) = project.build("phases.finish");
    assert!(built.is_empty(), "{option} {words} built {built:?}");
}

#[test]
fn the_line_of_a_refused_attribute_mends_the_build() {
    mended(&early("echo \"echo $installFlags\" >>program"), "scope.installFlags", "--scope");
}

#[test]
fn the_line_of_a_refused_read_of_everything_mends_the_build() {
    mended(
        &early("env | grep -c '^installF[l]ags' >>program.1 || true; cp program.1 program"),
        "readsAll",
        "--reads-all",
    );
}

#[test]
fn the_user_holds_back_what_the_table_does_not() {
    let salt = salt();
    let text = |wrapper: &str, format: &str| {
        let wraps = r#"postFixup = "wrapProgram $out/bin/program --set FOO bar";"#;
        let wish =
            r#"passthru.phasesplit = { scope.manualFormat = "install"; lateInputs.finish = [ "makeWrapper" ]; };"#;
        package(&salt, wrapper, &format!("{wraps} {wish} manualFormat = \"{format}\";"))
    };
    let project = Project::new("");
    builds(&project, &text("makeWrapper", "text"), &[], ALL);
    builds(&project, &text("makeWrapper", "html"), &[], LATE);
    builds(&project, &text("changedWrapper", "html"), &[], &["finish"]);
    // The command line wins over the package.
    let earlier = &["--scope", "manualFormat=build"][..];
    builds(&project, &text("makeWrapper", "text"), earlier, &["build", "install", "finish"]);
    builds(&project, &text("makeWrapper", "html"), earlier, &["build", "install", "finish"]);
}

#[test]
fn strict_holds_back_scripts_alone() {
    let salt = salt();
    let project = Project::new("");
    for (trust, flags) in [("strict", ALL), ("contract", LATE)] {
        let options = &["--trust", trust][..];
        builds(&project, &package(&salt, "", ""), options, ALL);
        builds(&project, &package(&salt, "", r#"postFixup = "touch $out/fixed";"#), options, &["finish"]);
        builds(&project, &package(&salt, "", r#"preInstall = "true";"#), options, LATE);
        builds(&project, &package(&salt, "", r#"installFlags = "y";"#), options, flags);
    }
}
