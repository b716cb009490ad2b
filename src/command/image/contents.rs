//! What goes into an image: a package that is built now if it is not, or a path of the store.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Ended, ImageArgs};
use crate::command::build;
use crate::command::build::run::{self, Wish};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::inspect::State;
use crate::nix::build::{Target, build_all};
use crate::nix::events::Event;
use crate::nix::{Nix, closure, drv, fetch, store, store_path};
use crate::report::progress::Progress;
use crate::state::error::Shown;
use crate::status::Status;

/// What an image is made for.
pub struct Contents {
    /// The package's name with its version.
    pub name: String,
    /// Store paths, the package's first.
    pub roots: Vec<String>,
    /// What it is built for, as `x86_64-linux`; where that is known.
    pub system: Option<String>,
}

/// Finds it; builds the package if it is not there.
pub fn find(arguments: &ImageArgs) -> Result<Contents, Ended> {
    let name = arguments.package.package.as_deref().unwrap_or_default();
    let mut contents = match store_object(Path::new(name)) {
        Some(path) => stored(arguments, &path)?,
        None => built(arguments)?,
    };
    let mut added = Vec::new();
    for path in &arguments.add {
        let Some(path) = store_object(path) else {
            let what = format!("{} is no store path and no link to one", Shown(path));
            let help = "build it first, and name the link to the result";
            return Err(Refusal::input(Problem::new("image/add", what).help(help)).into());
        };
        added.push(path);
    }
    for path in have(arguments, &added)? {
        if !contents.roots.contains(&path) {
            contents.roots.push(path);
        }
    }
    if contents.system.as_ref().is_some_and(|system| !system.ends_with("-linux")) {
        let what = format!("{} is built for {}", contents.name, contents.system.unwrap_or_default());
        let help = "containers run Linux programs: build it for a system such as x86_64-linux";
        return Err(Refusal::input(Problem::new("image/system", what).help(help)).into());
    }
    Ok(contents)
}

/// The store path that the user names, or that a link such as `result` leads to; not a file with a Nix expression in it.
fn store_object(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_source = path.extension().is_some_and(|last| last == "nix" || last == "drv");
    (!is_source && real.parent() == Some(Path::new(&store_path::store_dir()))).then_some(real)
}

/// Paths of the store, fetched where only a cache has them.
fn have(arguments: &ImageArgs, paths: &[PathBuf]) -> Result<Vec<String>, Ended> {
    let mut names = Vec::new();
    for path in paths {
        let Some(path) = path.to_str() else {
            let problem = Problem::new("image/path", format!("{} is no store path", Shown(path)));
            return Err(Refusal::input(problem.help("name one that is valid")).into());
        };
        names.push(path);
    }
    for path in store::invalid_paths(&Nix::default(), &names)? {
        let progress = Progress::new();
        progress.status(format!("looking for {path}"));
        let there = fetch::fetch(&path, &arguments.nix_options, |event| {
            if let Event::FetchStarted { path, from, .. } = event {
                progress.step(&format!("fetching {path} from {from}"));
                progress.status(format!("fetching {path} from {from}"));
            }
        })?;
        if !there {
            let problem = Problem::new("image/gone", format!("{path} is neither in the store nor in a binary cache"));
            return Err(Refusal::input(problem.help("name the package: then it is built")).into());
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn stored(arguments: &ImageArgs, path: &Path) -> Result<Contents, Ended> {
    if !arguments.output.is_empty() {
        let problem = Problem::new("image/output", "--output goes with a package, and this is a store path");
        let help = "name the other outputs' store paths with --add";
        return Err(Refusal::Problem(Status::Usage, Box::new(problem.help(help))).into());
    }
    let path = have(arguments, &[path.to_owned()])?.remove(0);
    if State::is_at(Path::new(&path)) {
        let problem = Problem::new("image/state", format!("{path} is the state of a stage, not a package"));
        return Err(Refusal::input(problem.help("`phasesplit oci` makes an image of a state")).into());
    }
    let registry = closure::registry(&Nix::default(), std::slice::from_ref(&path))?;
    let deriver = registry.get(&path).and_then(|registered| registered.deriver.as_deref());
    let system = deriver.and_then(|deriver| drv::read(deriver).ok()).map(|drv| drv.system);
    let name = path.rsplit('/').next().and_then(|name| name.split_once('-')).map_or("", |(_, name)| name).to_owned();
    Ok(Contents { name, roots: vec![path], system: system.filter(|system| system != "builtin") })
}

fn built(arguments: &ImageArgs) -> Result<Contents, Ended> {
    let prepared = build::prepare(&arguments.package, &arguments.nix_options, None).map_err(Ended::Told)?;
    let wish = Wish { nix_options: arguments.nix_options.clone(), ..Wish::default() };
    let report = run::run(&prepared.input, &wish, prepared.roots.as_ref())?;
    if let Some(failure) = &report.failure {
        anstream::eprint!("{}", report.table());
        anstream::eprintln!("error: {}: {failure}", report.package);
        return Err(Ended::Told(Status::Build));
    }
    let Some(last) = report.stages.last() else { return Err(Ended::Told(Status::Environment)) };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for name in &arguments.output {
        let Some((name, path)) = report.outputs.get_key_value(name) else {
            let known: Vec<&str> = report.outputs.keys().map(String::as_str).collect();
            let problem = Problem::new("image/output", format!("{} has no output `{name}`", report.package));
            let problem = problem.help(format!("its outputs are {}", known.join(", ")));
            return Err(Refusal::Problem(Status::Usage, Box::new(problem)).into());
        };
        wanted.push((name, path));
    }
    let roots = if wanted.is_empty() {
        vec![last.path.clone()]
    } else {
        have_outputs(&last.drv, &wanted)?;
        wanted.iter().map(|(_, path)| (*path).to_owned()).collect()
    };
    let system = drv::read(&last.drv).ok().map(|drv| drv.system);
    Ok(Contents { name: report.package, roots, system })
}

/// Of the package more outputs may be wanted than the one that stands for it, which a cache may have given alone.
fn have_outputs(drv: &str, wanted: &[(&str, &str)]) -> Result<(), Ended> {
    let nix = Nix::default();
    let paths: Vec<&str> = wanted.iter().map(|(_, path)| *path).collect();
    let missing = store::invalid_paths(&nix, &paths)?;
    let lacks = |path: &str| missing.iter().any(|missing| missing == path);
    let targets: Vec<Target<'_>> =
        wanted.iter().filter(|(_, path)| lacks(path)).map(|(output, _)| Target { drv, output }).collect();
    if targets.is_empty() || build_all(&nix, &targets, None, |_| ())?.status.success() {
        return Ok(());
    }
    let problem = Problem::new("image/outputs", format!("Nix cannot get all outputs of {drv}"));
    let help = format!("`nix-store --realise {drv}` says why");
    Err(Refusal::Problem(Status::Environment, Box::new(problem.help(help))).into())
}

impl Contents {
    /// The directories of programs, as they are in the image.
    pub fn directories(&self) -> Vec<String> {
        self.roots.iter().map(|root| format!("{root}/bin")).filter(|bin| Path::new(bin).is_dir()).collect()
    }

    /// The programs by name; where two have the same, the first. What begins with a dot is behind a wrapper.
    pub fn programs(&self) -> BTreeMap<String, String> {
        let mut programs = BTreeMap::new();
        for directory in self.directories() {
            let names = fs::read_dir(&directory).into_iter().flatten().filter_map(|entry| {
                let entry = entry.ok()?;
                // Of a link it is the target's bit; one that leads nowhere here may be the image's business all the same.
                let is_program = fs::metadata(entry.path())
                    .map_or(true, |found| found.is_dir() || found.permissions().mode() & 0o111 != 0);
                entry.file_name().into_string().ok().filter(|name| is_program && !name.starts_with('.'))
            });
            for name in names {
                let path = format!("{directory}/{name}");
                programs.entry(name).or_insert(path);
            }
        }
        programs
    }

    /// The program that is meant where nobody says which.
    pub fn main_program(&self) -> Option<String> {
        let own = Self { name: String::new(), roots: self.roots.first().cloned().into_iter().collect(), system: None };
        let programs = own.programs();
        let (name, _) = split_version(&self.name);
        if programs.contains_key(name) {
            return Some(name.to_owned());
        }
        let mut names = programs.into_keys();
        names.next().filter(|_| names.next().is_none())
    }
}

/// Name and version: the version begins behind the first dash that no letter follows (Nix manual, `parseDrvName`).
fn split_version(name: &str) -> (&str, &str) {
    let at = name.match_indices('-').map(|(at, _)| at).find(|&at| {
        let next = name[at + 1..].chars().next();
        next.is_some_and(|next| !next.is_ascii_alphabetic())
    });
    at.map_or((name, ""), |at| (&name[..at], &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_with_no_letter() {
        assert_eq!(split_version("hello-2.12.1"), ("hello", "2.12.1"));
        assert_eq!(split_version("xz-utils-5.4-bin"), ("xz-utils", "5.4-bin"));
        assert_eq!(split_version("own-hook"), ("own-hook", ""));
        assert_eq!(split_version("x-"), ("x-", ""));
    }
}
