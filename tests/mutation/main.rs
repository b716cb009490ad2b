//! The mutation test: no change of a package may ever give a wrong result in silence.
//!
//! Every attribute of every package in `packages/` is changed in several ways (`generate`). Each mutated package is built
//! split, reusing the states of the unchanged package, and unsplit, and the two are compared (`judge`): equal, both fail,
//! refused by phasesplit with a remedy, or *unsound*, which must never be. Beside that it says how many stages were reused, and
//! how many could have been (`oracle`). A second generator (`readers`) makes packages that read an attribute too early, in every
//! way known, and harmless twins of them, which must not be refused.
//!
//! `make test-mutation` runs it; `settings` names the variables it reads. Needs Nix and the machine's toolchain.

#[path = "../support/mod.rs"]
mod support;

mod attribute;
mod build;
mod evaluate;
mod generate;
mod judge;
mod oracle;
mod plant;
mod readers;
mod references;
mod report;
mod run;
mod settings;

use settings::Settings;
use std::path::Path;

#[test]
#[ignore = "takes minutes: make test-mutation"]
fn no_mutation_is_unsound() {
    let settings = Settings::from_environment();
    let results = run::all(&settings);
    report::print(&results);
    report::write(&results, &settings);
    let problems = report::problems(&results);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The same for readers in the source, without a build: in `make test` each time.
#[test]
fn every_reader_in_the_source_is_seen() {
    let unseen = readers::unseen(Path::new(
        &std::env::var_os("PHASESPLIT_STATE").expect("PHASESPLIT_STATE names the engine (make test sets it)"),
    ));
    assert_eq!(unseen, Vec::<String>::new());
}

/// What is proved above is worth nothing if the comparison cannot fail. So: the check that runs inside the build forgets one
/// attribute of the table, and a hook that reads this attribute too early must be found as unsound.
#[test]
fn a_dropped_check_is_found() {
    let library = plant::library_without_check_of("installFlags");
    for package in ["own-hook", readers::PACKAGE] {
        let whole = run::all(&Settings::planted(package, None));
        assert!(report::problems(&whole).is_empty(), "without the plant: {:?}", report::problems(&whole));
        assert!(
            report::refused(&whole) > 0,
            "{package}: without the plant the check must refuse something, or there is nothing to drop"
        );
        let planted = run::all(&Settings::planted(package, Some(library.path())));
        assert!(report::unsound(&planted) > 0, "the dropped check went unnoticed: {planted:#?}");
    }
}
