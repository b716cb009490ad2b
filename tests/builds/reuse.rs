//! After an edit exactly the named derivations are built, no more and no fewer.

use crate::support::{Project, package, root, salt};

/// `tests/nix/packages/reuse.nix` with an edit on top, as the user's file would say it.
pub fn edited(salt: &str, edit: &str) -> String {
    let source = root().join("tests/nix/packages/reuse-source");
    format!(
        "{{ callPackage }}: (callPackage {}/tests/nix/packages/reuse.nix {{ salt = \"{salt}\"; source = {}; }}).overrideAttrs (old: {{ {edit} }})\n",
        root().display(),
        source.display(),
    )
}

/// The edit, as attributes, and the stages it must build.
pub const EDITS: &[(&str, &str, &[&str])] = &[
    ("installPhase", "installPhase = \"make install; touch $out/edited\";", &["install", "finish"]),
    ("postInstall", "postInstall = \"echo edited >$out/installed\";", &["install", "finish"]),
    ("preFixup", "preFixup = \"echo edited\";", &["finish"]),
    ("postFixup", "postFixup = \"echo edited\";", &["finish"]),
    ("installCheckPhase", "installCheckPhase = \"$out/bin/greet\";", &["finish"]),
    ("checkPhase", "checkPhase = \"make check; echo checked\";", &["check", "install", "finish"]),
    ("doCheck", "doCheck = false;", &["install", "finish"]),
    ("buildFlags", "buildFlags = [ \"greet\" ];", &["build", "check", "install", "finish"]),
    (
        "configureFlags",
        "configureFlags = [ \"--with-greeting=edited\" ];",
        &["configure", "build", "check", "install", "finish"],
    ),
    (
        "a patch added",
        "patches = [ (builtins.toFile \"greet.patch\" ''\n--- a/greet.c\n+++ b/greet.c\n@@ -1,4 +1,5 @@\n #include <stdio.h>\n+#include <stdlib.h>\n \n int main(void) {\n     printf(\"greeting: %s from %s\\\\n\", GREETING, PREFIX \"/share/greet\");\n'') ];",
        &["patch", "configure", "build", "check", "install", "finish"],
    ),
    ("meta", "meta = { description = \"edited\"; };", &[]),
    (
        "an unknown attribute",
        "UNKNOWN = \"edited\";",
        &["unpack", "patch", "configure", "build", "check", "install", "finish"],
    ),
    (
        "src",
        "src = builtins.path { path = SOURCE; name = \"edited-source\"; };",
        &["unpack", "patch", "configure", "build", "check", "install", "finish"],
    ),
];

#[test]
fn an_edit_builds_exactly_its_stages() {
    let salt = salt();
    let project = Project::new(&edited(&salt, ""));
    project.generate(&[]);
    let (built, _) = project.build("phases.finish");
    assert_eq!(built, ["unpack", "patch", "configure", "build", "check", "install", "finish"], "the first build");
    let (built, _) = project.build("phases.finish");
    assert!(built.is_empty(), "nothing changed, yet built: {built:?}");

    let source = root().join("tests/nix/packages/reuse-source").display().to_string();
    let mut wrong = Vec::new();
    for (name, edit, expected) in EDITS {
        project.write(&edited(&salt, &edit.replace("SOURCE", &source)));
        project.generate(&[]);
        let (built, _) = project.build("phases.finish");
        if built != *expected {
            wrong.push(format!("{name}: expected {expected:?}, built {built:?}"));
        }
        project.assert_equal();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_some_stages_are_kept() {
    let project = Project::new(&package("reuse", &format!("salt = \"{}\";", salt())));
    project.generate(&["--stages", "build"]);
    let (built, _) = project.build("phases.finish");
    // What installs must be over before finish, so the stage before it stays.
    assert_eq!(built, ["build", "install", "finish"]);
    project.assert_equal();
}
