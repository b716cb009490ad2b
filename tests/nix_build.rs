//! `command::build::run` on chains that Nix really builds, with a hand-made split in place of a
//! generated one: what is reported must be what happened.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use phasesplit::command::build::report::{Outcome, Report};
use phasesplit::command::build::run::{BuildError, Input, Wish, run};
use phasesplit::gcroot::Roots;
use phasesplit::nix::Cause;
use phasesplit::nix::sandbox::toolchain_options;

/// A chain of three. `salt` makes it this run's own, so that nothing is in the store beforehand.
const SPLIT: &str = r#"
{ salt ? "none", edit ? "", broken ? "" }:
let
  mk = stage: previous: more: derivation {
    name = "phasesplit-test-phase-${stage}";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    inherit stage previous broken salt more;
    source = ./source.txt;
    args = [ "-c" ''
      echo "@nix { \"action\": \"setPhase\", \"phase\": \"''${stage}Phase\" }" >&''${NIX_LOG_FD:-2}
      echo "working on $stage"
      if [ "$broken" = "$stage" ]; then echo "it is broken"; exit 3; fi
      echo "$stage $previous" > "$out"
      exit 0
    '' ];
  } // { inherit stage; };
  unpack = mk "unpack" "" "";
  build = mk "build" unpack "";
  finish = mk "finish" build edit;
in
finish // { chain = [ unpack build finish ]; name = "phasesplit-test"; }
"#;

struct Case {
    scratch: tempfile::TempDir,
    salt: String,
}

impl Case {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        fs::write(scratch.path().join("source.txt"), "relative paths work").expect("written");
        let salt = scratch.path().display().to_string();
        Self { scratch, salt }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.path().join(name)
    }

    fn run(&self, until: Option<&str>, arguments: &[(&str, &str)]) -> Result<Report, BuildError> {
        let input = Input {
            split: SPLIT.to_owned(),
            directory: self.scratch.path().to_owned(),
            identity: self.salt.clone().into_bytes(),
            words: Vec::new(),
            host: true,
        };
        let mut nix_options: Vec<OsString> =
            ["--option", "substituters", "", "--option", "sandbox-fallback", "false"].map(OsString::from).to_vec();
        for (name, value) in [("salt", self.salt.as_str())].iter().chain(arguments) {
            nix_options.extend(["--argstr", name, value].map(OsString::from));
        }
        let link = Some(self.path("result"));
        let wish =
            Wish { until: until.map(str::to_owned), pin: None, link, keep_failed: false, push: None, nix_options };
        run(&input, &wish, Some(&Roots::below(self.path("roots"))))
    }
}

fn hash_of(path: &str) -> &str {
    &path.rsplit('/').next().expect("a name")[..32]
}

fn outcomes(report: &Report) -> Vec<(&str, Outcome)> {
    report.stages.iter().map(|row| (row.stage.as_str(), row.outcome)).collect()
}

#[test]
fn an_edit_of_the_last_stage_builds_that_stage_alone() {
    use Outcome::{Built, Reused};
    let case = Case::new();
    let first = case.run(None, &[]).expect("evaluated");
    assert_eq!(outcomes(&first), [("unpack", Built), ("build", Built), ("finish", Built)]);
    assert!(first.failure.is_none());
    assert!(first.stages.iter().all(|row| row.seconds.is_some() && row.bytes > Some(0)));

    let again = case.run(None, &[]).expect("evaluated");
    assert_eq!(outcomes(&again), [("unpack", Reused), ("build", Reused), ("finish", Reused)]);

    let edited = case.run(None, &[("edit", "1")]).expect("evaluated");
    assert_eq!(outcomes(&edited), [("unpack", Reused), ("build", Reused), ("finish", Built)]);
    let result = fs::read_link(case.path("result")).expect("linked");
    assert_eq!(result, Path::new(&edited.outputs["out"]));
    assert_ne!(edited.outputs, first.outputs);
}

#[test]
fn the_states_are_rooted_and_the_result_is_not_among_them() {
    let case = Case::new();
    let report = case.run(None, &[]).expect("evaluated");
    let packages = fs::read_dir(case.path("roots/packages")).expect("made");
    let package = packages.map(|entry| entry.expect("read").path()).next().expect("one package");
    for row in &report.stages[..2] {
        let link = package.join(format!("{}@{}", row.stage, hash_of(&row.path)));
        assert_eq!(fs::read_link(link).expect("linked"), Path::new(&row.path));
    }
    let mut names = fs::read_dir(&package).expect("read").map(|entry| entry.expect("read").file_name());
    assert!(names.all(|name| !name.to_string_lossy().starts_with("finish@")));
}

#[test]
fn the_build_is_recorded_and_its_derivations_are_kept() {
    let case = Case::new();
    let record = || {
        let roots = Roots::below(case.path("roots"));
        roots.last_record(case.salt.as_bytes()).expect("read").expect("there is one")
    };
    let report = case.run(None, &[]).expect("evaluated");
    let first = record();
    assert_eq!((first.package.as_str(), &first.identity), ("phasesplit-test", &case.salt));
    assert_eq!(first.stages.len(), 3);
    for (row, stage) in report.stages.iter().zip(&first.stages) {
        assert_eq!((&row.stage, &row.drv, &row.path), (&stage.stage, &stage.drv, &stage.path));
        assert_eq!(row.seconds, stage.seconds);
        let packages = fs::read_dir(case.path("roots/packages")).expect("made");
        let package = packages.map(|entry| entry.expect("read").path()).next().expect("one package");
        let root = match row.stage.as_str() {
            "finish" => package.join("finish.drv"),
            stage => package.join(format!("{stage}@{}.drv", hash_of(&row.path))),
        };
        assert_eq!(fs::read_link(&root).expect("linked"), Path::new(&row.drv));
        let known = Command::new("nix-store").args(["--query", "--roots", &row.drv]).output().expect("nix-store runs");
        assert!(
            String::from_utf8_lossy(&known.stdout).contains(&root.display().to_string()),
            "{root:?} is unknown to Nix"
        );
    }

    // What a failed build built is recorded, what it did not reach is what was there before.
    case.run(None, &[("edit", "1"), ("broken", "finish")]).expect("evaluated");
    let second = record();
    assert_ne!(second.stages[1].path, first.stages[1].path);
    assert_eq!(second.stages[2], first.stages[2]);
}

#[test]
fn a_record_that_cannot_be_read_does_not_stop_a_build() {
    let case = Case::new();
    case.run(None, &[]).expect("evaluated");
    let packages = fs::read_dir(case.path("packages")).expect("made");
    let record = packages.map(|entry| entry.expect("read").path()).next().expect("one package").join("last.json");
    for text in ["", "{\"format\": 9}"] {
        fs::write(&record, text).expect("written");
        assert!(case.run(None, &[]).expect("evaluated").failure.is_none());
        let text = fs::read_to_string(&record).expect("there");
        assert!(text.contains("phasesplit-test-phase-build"), "{text}");
    }
}

#[test]
fn until_stops_there_and_links_the_state() {
    let case = Case::new();
    let report = case.run(Some("build"), &[]).expect("evaluated");
    assert_eq!(outcomes(&report), [("unpack", Outcome::Built), ("build", Outcome::Built)]);
    assert_eq!(fs::read_link(case.path("result")).expect("linked"), Path::new(&report.stages[1].path));

    let error = case.run(Some("check"), &[]).expect_err("there is no such stage");
    assert_eq!(error.to_string(), "phasesplit-test has no stage `check`; its stages are unpack, build, finish");
}

#[test]
fn a_failing_phase_is_reported_with_what_is_safe() {
    let case = Case::new();
    let report = case.run(None, &[("broken", "build")]).expect("evaluated");
    assert_eq!(
        outcomes(&report),
        [("unpack", Outcome::Built), ("build", Outcome::Failed), ("finish", Outcome::NotReached)]
    );
    assert!(report.outputs.is_empty() && report.link.is_none());
    let failure = report.failure.expect("it failed");
    assert_eq!(failure.stage.as_deref(), Some("build"));
    assert_eq!(failure.phase.as_deref(), Some("buildPhase"));
    assert_eq!(failure.log_tail, ["working on build", "it is broken"]);
    let safe = failure.safe.as_ref().expect("unpack is safe");
    assert_eq!((&safe.stage, &safe.path), (&report.stages[0].stage, &report.stages[0].path));
    assert!(failure.message.contains("exit code 3"), "{}", failure.message);
}

#[test]
fn an_error_in_the_expression_is_the_inputs_fault() {
    let case = Case::new();
    let input = Input {
        split: "{ }: (".to_owned(),
        directory: case.scratch.path().to_owned(),
        words: Vec::new(),
        identity: Vec::new(),
        host: false,
    };
    let error = run(&input, &Wish::default(), None).expect_err("a syntax error");
    let BuildError::Nix(error) = error else { panic!("{error}") };
    assert!(matches!(error.cause, Cause::Evaluation { .. }), "{error:?}");
}

#[test]
fn the_toolchain_is_shown_to_the_sandbox() {
    let options = toolchain_options();
    assert_eq!(options[..2], ["--option", "sandbox-paths"]);
    let paths = options[2].to_string_lossy().into_owned();
    let paths: Vec<&str> = paths.split(' ').collect();
    assert!(paths.contains(&"/bin") && paths.contains(&"/usr"), "{paths:?}");
    assert!(!paths.iter().any(|path| path.starts_with("/bin/")), "nothing is bound inside /bin: {paths:?}");
}
