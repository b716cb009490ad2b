//! What comes after `build --keep-failed`: the chain goes on from its ordinary states, and a failed one is never taken.

use crate::keep_failed::{build, command, kept, package, report, restored, rows};
use crate::support::{Project, salt, succeed, text};
use serde_json::{Value, json};

const FAILS: &str = r#"installPhase = "mkdir -p $out; cp built $out/file; echo about to fail; exit 3";"#;

fn roots(project: &Project) -> Vec<(String, String)> {
    let output = succeed(&mut command(project, &["roots", "list", "--json"]));
    let roots: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let word = |root: &Value, key: &str| root[key].as_str().unwrap_or_default().to_owned();
    roots.iter().map(|root| (word(root, "kind"), word(root, "stage"))).collect()
}

fn record(project: &Project) -> (std::path::PathBuf, Value) {
    let packages = project.path().join("state/phasesplit/packages");
    let package = std::fs::read_dir(packages).expect("records").next().expect("one").expect("read").path();
    let path = package.join("last.json");
    let text = std::fs::read(&path).expect("a record");
    (path, serde_json::from_slice(&text).expect("JSON"))
}

#[test]
fn the_mended_package_continues_from_the_ordinary_states() {
    let salt = salt();
    let project = Project::new(&package(&salt, FAILS));
    project.generate(&[]);
    let chain = project.chain();
    let plain = build(&project, &[]);
    assert_eq!(plain.status.code(), Some(3));
    let said = text(&plain.stderr);
    assert!(said.contains("  shell:     phasesplit shell pkg.nix@install --pkgs host --failed\n"), "{said}");
    assert_eq!(report(&plain)["failure"]["kept"], json!({"kind": "not-asked"}));

    let kept = kept(&project, &[]);
    assert_eq!(rows(&kept.report)[..3], [("configure", "reused"), ("build", "reused"), ("install", "failed")]);
    let drvs: Vec<&str> = kept.report["stages"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["drv"].as_str().expect("a path"))
        .collect();
    assert_eq!(drvs, chain.iter().map(|(_, drv)| drv.as_str()).collect::<Vec<_>>(), "asking changes no stage");
    let path = kept.path.display();
    for words in [
        format!("  kept:      {path} (installPhase, exit code 3)\n"),
        "    > about to fail\n".to_owned(),
        "  look:      phasesplit state ls pkg.nix@install --pkgs host --failed\n".to_owned(),
        "  shell:     phasesplit shell pkg.nix@install --pkgs host --failed\n".to_owned(),
    ] {
        assert!(kept.said.contains(&words), "{words:?} is not in\n{}", kept.said);
    }
    let listed = text(&succeed(&mut command(&project, &["roots", "list"])).stdout);
    assert!(listed.lines().any(|line| line.contains(" install ") && line.contains(" failed ")), "{listed}");
    let (_, recorded) = record(&project);
    assert_eq!(recorded["failed"][0]["path"], kept.report["failure"]["kept"]["path"]);
    assert_eq!((&recorded["failed"][0]["stage"], &recorded["failed"][0]["exitCode"]), (&json!("install"), &json!(3)));
    assert!(recorded["stages"].as_array().expect("stages").iter().all(|stage| stage["stage"] != "install"));

    // The very same stage: what it left is there.
    let again = crate::keep_failed::kept(&project, &[]);
    assert_eq!((again.path, &again.report["failure"]["kept"]["reused"]), (kept.path, &json!(true)));
    assert!(again.said.contains("from an earlier run of the very same stage"), "{}", again.said);

    // Once mended, the stages before it are not built again, and the failure is forgotten.
    project.write(&package(&salt, ""));
    let mended = build(&project, &["--keep-failed"]);
    assert_eq!(mended.status.code(), Some(0), "{}", text(&mended.stderr));
    let states = [("configure", "reused"), ("build", "reused"), ("install", "built"), ("finish", "built")];
    assert_eq!(rows(&report(&mended)), states);
    assert!(!text(&mended.stderr).contains("failing-failed-"), "no stage ran for its failure");
    assert!(roots(&project).iter().all(|(kind, stage)| kind != "failed" && !stage.ends_with(".failed")));
    assert_eq!(record(&project).1["failed"], Value::Null);
}

#[test]
fn nothing_continues_from_a_failed_state() {
    let project = Project::new(&package(&salt(), r#"buildPhase = "echo half >built; exit 3";"#));
    let kept = kept(&project, &[]);
    // As every stage, finish included, restores the state before it.
    let log = restored(&project, &kept, "").expect_err("refused");
    assert!(
        log.contains("left when it failed (buildPhase, exit code 3), so nothing can continue from it; look into it"),
        "{log}"
    );

    let refused = |words: &str| {
        let output = build(&project, &["--pin", "build"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    };
    refused("no build state of this package was built yet");
    // Even where someone put it in the place of a state.
    let (path, mut recorded) = record(&project);
    let failed = recorded["failed"][0].clone();
    let stage = json!({"stage": "build", "drv": failed["drv"], "path": failed["path"], "seconds": null});
    recorded["stages"].as_array_mut().expect("stages").push(stage);
    std::fs::write(path, recorded.to_string()).expect("written");
    refused("it is what the stage left when buildPhase failed with exit code 3");
}

#[test]
fn what_is_no_failure_of_a_phase_is_not_kept() {
    let not_kept = |attributes: &str, words: &str| {
        let project = Project::new(&package(&salt(), attributes));
        let output = build(&project, &["--keep-failed"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        let kept = &report(&output)["failure"]["kept"];
        assert_eq!(kept["kind"], "not", "{said}");
        assert!(kept["reason"].as_str().expect("words").contains(words), "{words:?} is not in {kept}");
        assert!(said.contains("  not kept:  "), "{said}");
        assert!(roots(&project).iter().all(|(kind, _)| kind != "failed"));
    };
    // A shell that a phase has no state for, a stage that ends too early, and one that succeeds the second time.
    not_kept(r#"buildPhase = "exec >log";"#, "redirected the shell's own file descriptor 1");
    not_kept(r#"buildPhase = "exit 0";"#, "it ended with success before its state was saved");
    let second = r"{ tr '\\0' '\\n' </proc/1/environ | grep -q -x keep-failed; } || exit 1";
    not_kept(&format!(r#"buildPhase = "{second}; echo >built";"#), "it does not fail every time");
    not_kept(&format!(r#"preFixup = "{second}";"#), "its phases succeeded when they ran once more");
}
