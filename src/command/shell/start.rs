//! From a point to a running shell, and to its end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::changed::Patch;
use super::entry::{self, Entry, NixFiles};
use super::point::{self, Named, Point};
use super::session::{About, Session};
use super::{ShellArgs, ShellError, closure, last, plain, serve};
use crate::command::build::Prepared;
use crate::command::build::break_point::BreakPoint;
use crate::command::build::kept::{Again, Kept};
use crate::command::build::run::{self as builds, Wish};
use crate::gcroot::package_key;
use crate::nix::chain::{Chain, Stage};
use crate::nix::spawn::shell_word;
use crate::nix::{Nix, sandbox as nix_sandbox, store, store_path};
use crate::report::progress::Progress;
use crate::sandbox::{self, Bind, Maker, Room, Sent, Signals};
use crate::source::drv::Drv;
use crate::state::info::{self, Info};

/// The session's own files as the sandbox has them.
const CONTROL: &str = "/phasesplit";

/// A shell to be started.
pub struct Start<'a> {
    /// For more words with the store.
    pub nix: &'a Nix,
    /// Whose environment it gets.
    pub drv: &'a Drv,
    /// The inputs of that derivation.
    pub inputs: Vec<String>,
    /// What is restored.
    pub state: &'a str,
    /// What the chain's first stage left; behind a pin that is not known.
    pub source: Option<&'a str>,
    /// The build directory that it was made in.
    pub made_at: String,
    /// The first entry of the chain that has not run.
    pub first: String,
    /// The phase that failed, or nothing.
    pub failed: String,
    /// The phase behind which the session stands, or nothing: those up to it are run first.
    pub until: String,
    /// The point's name.
    pub point: String,
    /// The options for Nix.
    pub settings: &'a [OsString],
}

/// Where a session stands.
struct At {
    point: Point,
    /// The phase behind which it stands, after those of the next stage up to it have been run.
    until: Option<String>,
}

/// What a session is made of.
struct Making<'a> {
    arguments: &'a ShellArgs,
    prepared: &'a Prepared,
    wish: &'a Wish,
    chain: &'a Chain,
    /// Whether a build stopped here: it is to go on.
    stopped: bool,
}

/// Runs the session; gives the exit code of what ran in it.
pub fn run(arguments: &ShellArgs, named: &Named, prepared: &Prepared, settings: &[OsString]) -> Result<u8, ShellError> {
    let wish = Wish { pin: prepared.pinned.clone(), nix_options: settings.to_vec(), ..Wish::default() };
    let chain = builds::evaluate(&prepared.input, settings)?;
    let nix = Nix::new(builds::options(&prepared.input, settings));
    let asked = named.stage.as_deref();
    let point = if arguments.failed {
        let stage = point::failed_stage(&chain, asked)?;
        did_not_fail(&nix, &chain, stage)?;
        let again = Again { nix: &nix, input: &prepared.input, wish: &wish, chain: &chain, stage };
        let failed = again.derivation()?;
        have_kept(&again, &failed, prepared)?;
        point::of_failed(failed)
    } else {
        let point = point::find(&chain, asked, arguments.to.as_deref())?;
        if !store::invalid_paths(&nix, &[point.behind.path()])?.is_empty() {
            have_built(prepared, &chain, &point.behind.stage, &wish)?;
        }
        point
    };
    let making = Making { arguments, prepared, wish: &wish, chain: &chain, stopped: false };
    making.session(&At { point, until: None })
}

/// Runs the session at the break point of a build that came there.
pub fn at_break(
    arguments: &ShellArgs,
    prepared: &Prepared,
    wish: &Wish,
    chain: &Chain,
    at: &BreakPoint,
) -> Result<u8, ShellError> {
    let point = point::find(chain, Some(&at.stage), None)?;
    Making { arguments, prepared, wish, chain, stopped: true }.session(&At { point, until: at.phase.clone() })
}

impl Making<'_> {
    fn session(&self, At { point, until }: &At) -> Result<u8, ShellError> {
        let Self { arguments, prepared, chain, .. } = *self;
        let options = builds::options(&prepared.input, &self.wish.nix_options);
        let nix = Nix::new(options.clone());
        let state = point.behind.path();
        let info = info::read("shell", Path::new(state))?;
        let failed = if arguments.failed { failed_phase(&info)? } else { String::new() };

        let maker = if arguments.no_sandbox { None } else { Some(sandbox::maker()?) };
        let mut session = Session::begin(arguments.keep.as_deref())?;
        let drv = closure::derivation(&point.to.drv_path)?;
        let next = closure::derivation(&point.next.drv_path)?;
        let range = entry::option(&next, "range")?;
        let progress = Progress::new();
        let inputs = closure::inputs(&nix, &drv, &chain.stages, &session.path("inputs"), &progress)?;
        store::add_root(&nix, &session.path("inputs-state"), state)?;
        progress.finish();
        let start = Start {
            nix: &nix,
            drv: &drv,
            inputs,
            state,
            source: prepared.pinned.is_none().then(|| chain.stages[0].path()),
            made_at: info.build_dir,
            first: range.split(' ').next().unwrap_or("0").to_owned(),
            failed,
            until: until.clone().unwrap_or_default(),
            point: until.as_ref().unwrap_or(&point.behind.stage).clone(),
            settings: &options,
        };
        let code = match maker {
            Some(maker) => in_sandbox(arguments, &start, &mut session, maker)?,
            None => plain::run(arguments, &start, &session)?,
        };
        self.end(session)?;
        Ok(code)
    }

    /// Ends the session and says what is left of it, and how to go on.
    fn end(&self, session: Session) -> Result<(), ShellError> {
        let directory = session.directory().to_owned();
        let is_kept = self.arguments.keep.is_some();
        let found = if is_kept { Ok(None) } else { last::of_session(&directory) };
        session.end()?;
        if is_kept {
            let directory = shell_word(directory.as_os_str());
            anstream::eprintln!("kept in {directory}; what was changed: phasesplit shell --diff {directory}");
        }
        match found {
            Ok(Some(patch)) => anstream::eprint!("{}", self.left(&patch)),
            Ok(None) => {}
            Err(error) => {
                anstream::eprintln!("warning: what was changed in the session is not known any more: {error}");
            }
        }
        Ok(())
    }

    /// What a person who has left the session wants to know.
    fn left(&self, patch: &Patch) -> String {
        let go_on = self.wish.named(&self.prepared.input).build(&[]);
        let mut text = String::new();
        if !patch.is_empty() {
            let names: Vec<&str> = patch.files.iter().chain(&patch.named).map(String::as_str).collect();
            text += "changed in the source: ";
            text += &names.join(", ");
            text += "\n  the patch: phasesplit shell --diff\n";
            text += "  go on:     put it into the package, and build on";
            text += &go_on.map_or_else(String::new, |command| format!(": {command}"));
            text.push('\n');
        } else if let Some(command) = go_on.filter(|_| self.stopped) {
            text += "build on: ";
            text += &command;
            text.push('\n');
        }
        text
    }
}

/// The phase in which a stage failed, told with how it did.
fn failed_phase(info: &Info) -> Result<String, ShellError> {
    let Some(failed) = &info.failed else {
        return Err(ShellError::Point {
            message: format!("the stage {} of {} did not fail", info.stage, info.package),
            help: "to stand behind it, leave --failed out".to_owned(),
        });
    };
    anstream::eprintln!("{} failed with exit code {}", failed.phase, failed.exit_code);
    Ok(failed.phase.clone())
}

/// Refuses a stage whose state is there: it would be run again for nothing.
fn did_not_fail(nix: &Nix, chain: &Chain, stage: &str) -> Result<(), ShellError> {
    let Some(own) = chain.stages.iter().find(|known| known.stage == stage) else { return Ok(()) };
    if !store::invalid_paths(nix, &[own.path()])?.is_empty() {
        return Ok(());
    }
    let help = "to stand behind it, leave --failed out";
    Err(ShellError::Point {
        message: format!("the stage {stage} of {} did not fail", chain.name),
        help: help.to_owned(),
    })
}

/// Has the state that a failed stage leaves: what is there, or by running the stage once more.
fn have_kept(again: &Again<'_>, failed: &Stage, prepared: &Prepared) -> Result<(), ShellError> {
    let progress = Progress::new();
    let key = package_key(&again.chain.name, &prepared.input.identity);
    let (kept, _) = again.keep_of(failed, prepared.roots.as_ref().map(|roots| (roots, key.as_str())), &progress);
    let Kept::Not { reason } = kept else { return Ok(()) };
    let before = again.chain.stages.iter().rev().skip_while(|stage| stage.stage != again.stage).nth(1);
    let help = before.and_then(|before| again.wish.named(again.input).shell(&before.stage, false));
    Err(ShellError::Point {
        message: format!("there is no failed state of the stage {} of {}: {reason}", again.stage, again.chain.name),
        help: help.map_or_else(
            || "build it again: phasesplit build".to_owned(),
            |command| format!("to stand before it, with its environment: {command}"),
        ),
    })
}

/// Builds the state, or fetches it, as `phasesplit build` does.
fn have_built(prepared: &Prepared, chain: &Chain, stage: &str, wish: &Wish) -> Result<(), ShellError> {
    let wish = Wish { until: Some(stage.to_owned()), ..wish.clone() };
    let report = builds::run_chain(&prepared.input, &wish, chain, prepared.roots.as_ref(), Instant::now())?;
    anstream::eprint!("{}", report.table());
    match &report.failure {
        None => Ok(()),
        Some(failure) => {
            anstream::eprintln!("error: {}: {failure}", report.package);
            Err(ShellError::Unbuilt)
        }
    }
}

/// What ends the bash that made the environment: a shell for the terminal, or one that runs the user's command, or what is
/// piped in.
pub fn last_command(arguments: &ShellArgs, bash: &str, control: &Path) -> Vec<String> {
    let shell = control.join("shell.sh").display().to_string();
    let words: &[&str] = if is_interactive(arguments) {
        &[bash, "--noprofile", "--rcfile", &shell, "-i"]
    } else {
        &[bash, "--noprofile", "--norc", &shell]
    };
    words.iter().copied().map(str::to_owned).chain(arguments.command.iter().cloned()).collect()
}

/// Whether a person sits there.
pub fn is_interactive(arguments: &ShellArgs) -> bool {
    arguments.command.is_empty() && io::stdin().is_terminal()
}

fn in_sandbox(arguments: &ShellArgs, start: &Start<'_>, session: &mut Session, maker: Maker) -> Result<u8, ShellError> {
    let store_dir = store_path::store_dir();
    let mut visible: BTreeSet<String> = start.inputs.iter().cloned().collect();
    // Of a stage that failed, or where stages are left out, no input.
    visible.insert(start.state.to_owned());
    let mut binds = Vec::new();
    for (inside, outside, optional) in nix_sandbox::paths(start.settings) {
        // A program of the store brings what it needs.
        if let Some(rest) = outside.strip_prefix(&format!("{store_dir}/")) {
            visible.insert(format!("{store_dir}/{}", rest.split('/').next().unwrap_or(rest)));
        }
        let is_of_store = inside == outside && outside.starts_with(&format!("{store_dir}/"));
        let is_closed = fs::metadata(&outside).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        if is_closed {
            anstream::eprintln!(
                "warning: {outside}, which builds see as {inside}, is closed to this user: not there in this shell"
            );
        } else if !is_of_store {
            binds.push(Bind { from: outside.into(), to: inside.into(), writable: false, optional });
        }
    }
    let visible: Vec<String> = visible.into_iter().collect();
    let paths: Vec<PathBuf> = crate::nix::closure::of(start.nix, &visible)?.into_iter().map(PathBuf::from).collect();
    let bash = interactive_bash(arguments, &paths, &binds).unwrap_or_else(|| start.drv.builder.clone());

    let top = PathBuf::from(&start.made_at);
    let build = session.path("build");
    let control = Path::new(CONTROL);
    for (from, to) in
        [(session.path("tmp"), Path::new("/tmp")), (build.clone(), &top), (session.path("control"), control)]
    {
        binds.push(Bind { from, to: to.to_owned(), writable: true, optional: false });
    }
    let entry = Entry {
        state: start.state,
        first: &start.first,
        failed: &start.failed,
        until: &start.until,
        point: &start.point,
        top: &top,
        control,
        extracted: None,
    };
    let mut files = NixFiles::new(build.clone());
    let environment = entry.environment(start.nix, start.drv, &mut files)?;
    entry::write(&session.path("control"), &last_command(arguments, &bash, control))?;
    session.make_places(paths.clone())?;
    let about = about(start, build, top.clone(), files.names);
    session.describe(&about)?;
    let room = Room {
        root: session.path("root"),
        binds,
        store: Bind { from: session.path("store"), to: store_dir.into(), writable: true, optional: false },
        store_paths: paths,
        home: top.clone(),
        directory: top,
        command: std::iter::once(&start.drv.builder).chain(&start.drv.args).cloned().collect(),
        environment: environment.into_iter().collect(),
        interactive: is_interactive(arguments),
    };
    let signals = Signals::hold();
    let served = serve::Served::begin(session)?;
    let child = sandbox::start(&room, maker)?;
    let ended = signals.wait(child, Sent::TERM).map_err(ShellError::io("wait for the sandbox"))?;
    served.end();
    Ok(finished(room.interactive, ended))
}

/// The exit code of a session.
pub fn finished(interactive: bool, ended: sandbox::Ended) -> u8 {
    if interactive {
        sandbox::terminal::take();
    }
    match ended.asked_by {
        Some(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        None => sandbox::code(ended.status),
    }
}

/// What the session's directory says of it.
pub fn about(start: &Start<'_>, build: PathBuf, top: PathBuf, nix_files: Vec<String>) -> About {
    let package = entry::option(start.drv, "package").unwrap_or(&start.drv.name).to_owned();
    About {
        package,
        point: start.point.clone(),
        state: start.state.into(),
        source: start.source.map(Into::into),
        build,
        source_root: String::new(),
        top,
        nix_files,
    }
}

/// A bash that can edit lines, where one is seen in the sandbox: a stdenv's own often cannot.
fn interactive_bash(arguments: &ShellArgs, paths: &[PathBuf], binds: &[Bind]) -> Option<String> {
    any_bash(arguments).filter(|bash| {
        paths.iter().any(|path| Path::new(bash).starts_with(path))
            || binds.iter().any(|bind| bind.from == bind.to && Path::new(bash).starts_with(&bind.from))
    })
}

/// The user's bash, for a terminal.
pub fn any_bash(arguments: &ShellArgs) -> Option<String> {
    if !is_interactive(arguments) {
        return None;
    }
    let search = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&search).map(|directory| directory.join("bash")).find(|path| path.is_file())?;
    found.canonicalize().ok().map(|path| path.display().to_string())
}
