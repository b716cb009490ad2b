//! `phasesplit gen`: reads a package and writes split.nix. Needs no Nix, and asks it where it is there.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::expansion::{self, Evaluation, ReadFrom, Why};
use super::output::OutputError;
use super::pkgs::{self, PkgsChoice};
use super::place::{self, PlaceError};
use super::subject::{Subject, attribute_path};
use super::{colour, cuts, header, nix_error, objects, output, reading};
use crate::cli::{AttributeScope, Cut, GenArgs, LateInputs, PackageArgs};
use crate::diagnostic::{self, Problem, Sources};
use crate::nix::NixError;
use crate::nix::attributes::Attributes;
use crate::phase::{InputNames, ScopeError, Scopes, Stage};
use crate::plan::{self, Entry, NoSuchPhase, OverrideError, Overrides, Wish, WishError};
use crate::render::{self, Head, Library, Location, Package, Pkgs, Split};
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
    /// Whether the package is evaluated to see its attributes.
    pub evaluation: Evaluation,
    /// Options that this evaluation gets, such as `--argstr NAME VALUE`.
    pub nix_options: Vec<OsString>,
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
            evaluation: if arguments.no_eval { Evaluation::Off } else { Evaluation::Needed },
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
    /// Where its attributes were read.
    pub read_from: ReadFrom,
    /// All attributes, where Nix evaluated them.
    pub attributes: Option<Attributes>,
    /// Whether the text has comments that cut phases and that do not count, as only evaluation shows scripts.
    pub cuts_unseen: bool,
    /// The stages as the file lists them.
    pub chain: Vec<Entry>,
    /// What tells this package from others, the same each time: absolute path or reference, and attribute.
    pub identity: Vec<u8>,
    /// What names it on a command line, and how it is split: PKG, or `-E` and the expression, then the options.
    pub words: Vec<String>,
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
    /// What stands below them: Nix's own words.
    pub words: String,
}

impl GenError {
    pub(super) fn one(status: Status, problem: Problem) -> Self {
        Self { status, problems: vec![problem], about: Default::default(), words: String::new() }
    }

    pub(super) fn nix(error: &NixError) -> Self {
        let (problem, words) = nix_error::told(error);
        Self { words, ..Self::one(nix_error::status(error), problem) }
    }

    pub(super) fn input(problem: Problem) -> Self {
        Self::one(Status::Input, problem)
    }

    /// The problems as text, with the lines they are about.
    pub fn render(&self, colour: bool) -> String {
        let problems = diagnostic::render(&self.problems, Sources::new(&[(&self.about.0, &self.about.1)]), colour);
        problems + &self.words
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

impl From<NoSuchPhase> for GenError {
    fn from(error: NoSuchPhase) -> Self {
        Self::one(Status::Usage, Problem::new("gen/cut", error.to_string()))
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
    if request.evaluation == Evaluation::Needed {
        request.evaluation = Evaluation::Tried;
    }
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

/// Says on standard error which package set was taken, where the user did not, and where the attributes were read.
pub fn say(generated: &Generated) {
    warn(generated);
    eprintln!("attributes: {}", generated.read_from);
}

/// The same, but for where the attributes were read if nothing went wrong with that.
pub fn warn(generated: &Generated) {
    if !generated.pkgs_chosen {
        match &generated.pkgs {
            Some(PkgsChoice::Nixpkgs) => eprintln!("package set: <nixpkgs> (--pkgs nixpkgs)"),
            Some(PkgsChoice::Host) => {
                eprintln!("package set: this machine's /usr (--pkgs host), as <nixpkgs> is not found here");
            }
            Some(PkgsChoice::Path(_)) | None => {}
        }
    }
    if let ReadFrom::Text(Why::Failed(line)) = &generated.read_from {
        eprintln!("warning: Nix cannot evaluate this package: {line}");
    }
    if generated.cuts_unseen {
        eprintln!("warning: `# phasesplit: cut` counts only where the package is evaluated: no phase is cut");
    }
}

/// What tells the package of a request from others, as [`Generated::identity`] of what is generated from it.
///
/// # Errors
/// Where the package cannot be found.
pub fn identity(request: &GenRequest) -> Result<Vec<u8>, GenError> {
    Ok(Subject::find(request)?.identity(&attribute_path(request.attribute.as_deref())?))
}

/// Generates a split.nix. Reads the package's file, and has Nix evaluate it where the request says so; writes no file.
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
    let wish = Wish { stages: request.stages.clone(), merge: request.merge.clone() };
    let table = |error: &ScopeError| GenError::one(Status::Environment, Problem::new("gen/scopes", error.to_string()));
    let scopes = Scopes::builtin().map_err(|error| table(&error))?;
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
    let words = header::words(request, &subject, choice.as_ref(), &directory)?;
    let mut head = Head {
        from: subject.origin(&directory)?,
        command: header::command(request, &words),
        blake3: subject.bytes().map(|bytes| blake3::hash(bytes).to_hex().to_string()),
        reading: String::new(),
        package: found.package,
        pkgs,
    };
    let expansion = expansion::expand(request, &head, choice.as_ref(), &found.reading, &directory)?;
    head.reading = expansion.from.to_string();
    let chain = plan::chain(&expansion.reading, &wish, &scopes)?;
    request.overrides.check(&chain)?;
    if let Some(found) = &expansion.attributes {
        let names: Vec<&str> = found.attributes.keys().map(String::as_str).collect();
        let called = InputNames::builtin().map_err(|error| table(&error))?;
        request.overrides.check_names(&names, &found.inputs(), &scopes, &called)?;
    }
    let cuts = cuts::find(&request.cuts, &chain, &expansion)?;
    let chain = plan::cut_stages(chain, &cuts)?;
    let split = Split { head, chain, overrides: request.overrides.clone(), engines: request.engines.clone(), library };
    let text = render::render(&split)
        .map_err(|error| GenError::one(Status::Environment, Problem::new("gen/render", error.to_string())))?;
    Ok(Generated {
        text,
        directory,
        pkgs: choice,
        pkgs_chosen: chosen,
        cuts_unseen: matches!(expansion.from, ReadFrom::Text(_)) && subject.text().1.contains("# phasesplit: cut"),
        read_from: expansion.from,
        attributes: expansion.attributes,
        chain: split.chain,
        identity,
        words,
    })
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
