//! `phasesplit gen`: reads a package and writes split.nix. Needs no Nix.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::output::OutputError;
use super::pkgs::{self, PkgsChoice};
use super::place::{self, PlaceError};
use super::subject::{Subject, attribute_path};
use super::{colour, header, objects, output, reading};
use crate::cli::{AttributeScope, Cut, GenArgs, LateInputs, PackageArgs};
use crate::diagnostic::{self, Problem, Sources};
use crate::phase::{Scopes, Stage};
use crate::plan::{self, OverrideError, Overrides, Wish, WishError};
use crate::render::{self, Library, Location, Package, Pkgs, Split};
use crate::status::Status;

/// What to generate from.
#[derive(Clone, Debug, Default)]
pub struct GenRequest {
    /// `PKG` as the user named it; `None` with an `expression`.
    pub package: Option<String>,
    /// `-E`.
    pub expression: Option<String>,
    /// `-A`.
    pub attribute: Option<String>,
    /// `--pkgs`; `None` for what this machine has.
    pub pkgs: Option<PkgsChoice>,
    /// `--lib`.
    pub lib: Option<PathBuf>,
    /// `--stages`.
    pub stages: Option<Vec<Stage>>,
    /// `--merge`, each group.
    pub merge: Vec<Vec<Stage>>,
    /// `--cut`, each.
    pub cuts: Vec<Cut>,
    /// `--trust`, `--scope`, `--late`, `--reads-all`, `--pin`.
    pub overrides: Overrides,
    /// `--no-eval`.
    pub no_eval: bool,
    /// Where the file will lie; `None` for the current directory.
    pub output: Option<PathBuf>,
    /// Nix system → store path of the state engine.
    pub engines: Vec<(String, String)>,
    /// The store path of the host set, where it is known.
    pub host_set: Option<String>,
}

impl GenRequest {
    /// What the command line says; `engines` and `host_set` are the caller's to fill.
    pub fn of(arguments: &PackageArgs) -> Self {
        Self {
            package: arguments.package.clone(),
            expression: arguments.expression.clone(),
            attribute: arguments.attribute.clone(),
            pkgs: arguments.pkgs.clone(),
            lib: arguments.lib.clone(),
            stages: arguments.stages.clone(),
            merge: arguments.merge.iter().map(|group| group.0.clone()).collect(),
            cuts: arguments.cut.clone(),
            overrides: Overrides {
                trust: arguments.trust,
                scope: arguments.scope.iter().map(|AttributeScope(name, stage)| (name.clone(), *stage)).collect(),
                late_inputs: arguments.late.iter().map(|LateInputs(stage, names)| (*stage, names.clone())).collect(),
                reads_all: arguments.reads_all,
                pin: None,
            },
            no_eval: arguments.no_eval,
            ..Self::default()
        }
    }
}

/// A generated split.nix and what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The file.
    pub text: String,
    /// The directory that its relative paths start in, as the user named it.
    pub directory: PathBuf,
    /// The package set in use, `None` where the package brings its own (a flake, a `.drv`).
    pub pkgs: Option<PkgsChoice>,
    /// Whether that set was the user's choice.
    pub pkgs_chosen: bool,
    /// What tells this package from others, the same each time: absolute path or reference, and attribute.
    pub identity: Vec<u8>,
}

/// Why nothing was generated: problems to show, all at once.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.render(false))]
pub struct GenError {
    /// Who is at fault.
    pub status: Status,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The text that problems point into: its name and content.
    pub about: (String, String),
}

impl GenError {
    pub(super) fn one(status: Status, problem: Problem) -> Self {
        Self { status, problems: vec![problem], about: Default::default() }
    }

    pub(super) fn input(problem: Problem) -> Self {
        Self::one(Status::Input, problem)
    }

    /// The problems as text, with the lines they are about.
    pub fn render(&self, colour: bool) -> String {
        diagnostic::render(&self.problems, Sources::new(&[(&self.about.0, &self.about.1)]), colour)
    }
}

impl From<PlaceError> for GenError {
    fn from(error: PlaceError) -> Self {
        Self::input(Problem::new("gen/place", error.to_string()))
    }
}

impl From<OutputError> for GenError {
    fn from(error: OutputError) -> Self {
        let problem = Problem::new("gen/output", error.to_string());
        match error.help() {
            Some(help) => Self::one(Status::Usage, problem.help(help)),
            None => Self::one(Status::Environment, problem),
        }
    }
}

impl From<WishError> for GenError {
    fn from(error: WishError) -> Self {
        Self::one(Status::Usage, Problem::new("gen/merge", error.to_string()).help(error.help()))
    }
}

impl From<OverrideError> for GenError {
    fn from(error: OverrideError) -> Self {
        Self::one(Status::Usage, Problem::new("gen/scope", error.to_string()))
    }
}

/// Runs `phasesplit gen`.
pub fn run(arguments: &GenArgs) -> Status {
    match write(arguments) {
        Ok(()) => Status::Success,
        Err(error) => {
            eprint!("{}", error.render(colour()));
            error.status
        }
    }
}

fn write(arguments: &GenArgs) -> Result<(), GenError> {
    let mut request = GenRequest::of(&arguments.package);
    request.output.clone_from(&arguments.output);
    objects::fill(&mut request, &arguments.package)?;
    let generated = generate(&request)?;
    say(&generated);
    let result = match &arguments.output {
        Some(path) => output::write(path, &generated.text).map_err(GenError::from),
        None => to_standard_output(&generated.text).map_err(|error| {
            let problem = Problem::new("gen/output", format!("cannot write to standard output: {error}"));
            GenError::one(Status::Environment, problem)
        }),
    };
    result?;
    objects::provide(&generated, &arguments.package);
    Ok(())
}

fn to_standard_output(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough: `phasesplit gen pkg.nix | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Says on standard error which package set was taken, where the user did not.
pub fn say(generated: &Generated) {
    if !generated.pkgs_chosen {
        match &generated.pkgs {
            Some(PkgsChoice::Nixpkgs) => eprintln!("package set: <nixpkgs> (--pkgs nixpkgs)"),
            Some(PkgsChoice::Host) => {
                eprintln!("package set: this machine's /usr (--pkgs host), as <nixpkgs> is not found here");
            }
            Some(PkgsChoice::Path(_)) | None => {}
        }
    }
}

/// Generates a split.nix. Reads the package's file; starts nothing and writes nothing.
///
/// # Errors
/// Where the package cannot be read, is no package that has phases, or what is asked cannot be done with it.
pub fn generate(request: &GenRequest) -> Result<Generated, GenError> {
    let directory = match request.output.as_deref().and_then(Path::parent) {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !directory.is_dir() {
        let problem = Problem::new("gen/output", format!("there is no directory {} to write to", directory.display()));
        return Err(GenError::one(Status::Usage, problem));
    }
    let subject = Subject::find(request)?;
    let attributes = attribute_path(request.attribute.as_deref())?;
    let identity = subject.identity(&attributes);
    let found = reading::read(&subject, attributes, &directory)?;
    let (choice, pkgs, chosen) = package_set(request, &found.package, &directory)?;
    if let Some(cut) = request.cuts.first() {
        let problem = Problem::new("gen/cut", format!("--cut {}:{}: cuts are not made yet", cut.phase, cut.command));
        return Err(GenError::one(Status::Usage, problem));
    }
    let wish = Wish { stages: request.stages.clone(), merge: request.merge.clone() };
    let scopes = Scopes::builtin()
        .map_err(|error| GenError::one(Status::Environment, Problem::new("gen/scopes", error.to_string())))?;
    let library = match &request.lib {
        None => Library::Inline,
        Some(path) if path.exists() => Library::Import(place::as_named(path, &directory)?),
        Some(path) => {
            let problem = Problem::new("gen/lib", format!("there is no nix-lib at {}", path.display()));
            return Err(GenError::one(
                Status::Usage,
                problem.help("--lib names a directory with phasesplit's nix-lib"),
            ));
        }
    };
    let chain = plan::chain(&found.reading, &wish, &scopes)?;
    request.overrides.check(&chain)?;
    let split = Split {
        from: subject.origin(&directory)?,
        command: header::command(request, &subject, choice.as_ref(), &directory)?,
        blake3: subject.bytes().map(|bytes| blake3::hash(bytes).to_hex().to_string()),
        package: found.package,
        pkgs,
        chain,
        overrides: request.overrides.clone(),
        engines: request.engines.clone(),
        library,
    };
    let text = render::render(&split)
        .map_err(|error| GenError::one(Status::Environment, Problem::new("gen/render", error.to_string())))?;
    Ok(Generated { text, directory, pkgs: choice, pkgs_chosen: chosen, identity })
}

/// The package set that is used, as the user's word for it and as split.nix has it, and whether the user chose it.
fn package_set(
    request: &GenRequest,
    package: &Package,
    directory: &Path,
) -> Result<(Option<PkgsChoice>, Pkgs, bool), GenError> {
    if !package.needs_package_set() {
        return Ok((None, Pkgs::Nixpkgs, request.pkgs.is_some()));
    }
    let choice = request.pkgs.clone().unwrap_or_else(pkgs::default_choice);
    let pkgs = match &choice {
        PkgsChoice::Nixpkgs => Pkgs::Nixpkgs,
        PkgsChoice::Path(path) if path.exists() => Pkgs::Set(place::as_named(path, directory)?),
        PkgsChoice::Path(path) => {
            let problem = Problem::new("gen/pkgs", format!("there is no package set at {}", path.display()));
            return Err(GenError::one(
                Status::Usage,
                problem.help("--pkgs is nixpkgs, host, or the path of a package set"),
            ));
        }
        PkgsChoice::Host => Pkgs::Set(Location::Store(request.host_set.clone().ok_or_else(|| {
            GenError::one(
                Status::Environment,
                Problem::new("gen/no-host-set", "this phasesplit was built without its host package set")
                    .help("name a package set with --pkgs, or build phasesplit with `make`"),
            )
        })?)),
    };
    Ok((Some(choice), pkgs, request.pkgs.is_some()))
}
