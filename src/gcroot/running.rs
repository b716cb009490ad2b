//! Which states running builds use: no policy gives these up.
//!
//! ```text
//! running/build-<number>    the machine's name, then the store paths that the build uses or will make, a line each
//! ```
//!
//! The build holds the file's lock while it runs, so a file whose lock is free is of a build that was killed. Of another
//! machine nothing is known but the file's age: it counts for a day.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::lock::{self, Lock, Mode};
use super::{RootError, Roots, disk};

/// How long a build on another machine is believed to run.
const ELSEWHERE: Duration = Duration::from_hours(24);

/// A build that runs; it ends with this value.
#[derive(Debug)]
#[must_use]
pub struct Running {
    path: PathBuf,
    _file: File,
}

impl Drop for Running {
    fn drop(&mut self) {
        // What stays is seen to be of a build that is over.
        let _ = disk::remove(&self.path);
    }
}

impl Roots {
    /// Says that a build uses these states from now on. Ordered with every policy: one that is being applied has ended, and the
    /// next one sees it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin(&self, paths: &[&str]) -> io::Result<Running> {
        let _all = self.lock_all(Mode::Shared)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = self.running().join(format!("build-{}-{}", std::process::id(), since.as_nanos()));
        let mut content = machine();
        for path in paths {
            content.push('\n');
            content.push_str(path);
        }
        let file = disk::place(&path, content.as_bytes(), lock::hold)?;
        Ok(Running { path, _file: file })
    }

    /// The states that builds use now.
    ///
    /// # Errors
    /// Where that cannot be told: then nobody may give up anything.
    pub(super) fn in_use(&self) -> Result<Vec<String>, RootError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RootError::Io { operation: "read", path, source }
        };
        let mut paths = Vec::new();
        for path in self.running_files().map_err(failed(&self.running()))? {
            if let Found::Running(states) = look(&path).map_err(failed(&path))? {
                paths.extend(states);
            }
        }
        Ok(paths)
    }

    /// The files of builds that are over, which were killed.
    pub(super) fn left_running(&self) -> io::Result<Vec<PathBuf>> {
        let mut over = Vec::new();
        for path in self.running_files()? {
            if matches!(look(&path)?, Found::Over) {
                over.push(path);
            }
        }
        Ok(over)
    }

    fn running_files(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(self.running()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(entries) => {
                let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
                paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("build-")));
                Ok(paths)
            }
        }
    }

    pub(super) fn running(&self) -> PathBuf {
        self.home().join("running")
    }

    /// The lock of the whole: builds begin under it together, a policy is applied under it alone.
    pub(super) fn lock_all(&self, mode: Mode) -> io::Result<Lock> {
        Lock::wait(&self.home().join("lock"), mode)
    }

    /// The same lock, alone, where something is going to be changed.
    pub(super) fn lock_for_change(&self, change: bool) -> Result<Option<Lock>, RootError> {
        let lock = change.then(|| self.lock_all(Mode::Exclusive)).transpose();
        lock.map_err(|source| RootError::io("lock", self.home(), source))
    }

    /// The lock of a package's roots and record.
    pub(super) fn lock_package(&self, key: &str) -> io::Result<Lock> {
        Lock::wait(&self.home().join("packages").join(key).join("lock"), Mode::Exclusive)
    }
}

enum Found {
    Running(Vec<String>),
    Over,
    Gone,
}

fn look(path: &Path) -> io::Result<Found> {
    // A directory or a pipe is no build's. Of what is ours and cannot be read nothing is known, so nobody gives up anything.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        metadata => {
            if !metadata?.is_file() {
                return Ok(Found::Gone);
            }
        }
    }
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        file => file?,
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines();
    let is_here = lines.next() == Some(machine().as_str());
    let runs = if is_here {
        lock::is_held(&file)?
    } else {
        file.metadata()?.modified()?.elapsed().unwrap_or_default() < ELSEWHERE
    };
    Ok(if runs { Found::Running(lines.map(str::to_owned).collect()) } else { Found::Over })
}

/// The name of this machine.
pub(super) fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_build_counts_while_it_runs() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        assert!(roots.in_use().expect("none").is_empty());
        let one = roots.begin(&["/s/a", "/s/b"]).expect("begun");
        let two = roots.begin(&["/s/c"]).expect("begun");
        let mut used = roots.in_use().expect("read");
        used.sort();
        assert_eq!(used, ["/s/a", "/s/b", "/s/c"]);
        drop(one);
        assert_eq!(roots.in_use().expect("read"), ["/s/c"]);

        // Killed: its file is there, and its lock is not.
        let path = two.path.clone();
        let copy = path.with_file_name("build-killed");
        fs::copy(&path, &copy).expect("copied");
        assert_eq!(roots.left_running().expect("read"), [copy.as_path()]);
        assert_eq!(roots.in_use().expect("read"), ["/s/c"]);

        // No build's, whatever its name: it stands in nobody's way.
        let running = path.with_file_name("build-directory");
        fs::create_dir(&running).expect("made");
        symlink("build-loop", path.with_file_name("build-loop")).expect("linked");
        fs::write(path.with_file_name("build-noise"), b"\xff\n/s/\xff").expect("written");
        assert!(roots.in_use().expect("read").contains(&"/s/c".to_owned()));
        for name in ["build-directory", "build-loop", "build-noise"] {
            let path = path.with_file_name(name);
            fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).expect("removed");
        }

        // Of another machine, it counts for a day.
        fs::write(&copy, "elsewhere.example\n/s/d").expect("written");
        assert!(roots.in_use().expect("read").contains(&"/s/d".to_owned()));
        let old = std::time::SystemTime::now() - Duration::from_hours(25);
        File::options().write(true).open(&copy).expect("open").set_modified(old).expect("set");
        assert_eq!(roots.in_use().expect("read"), ["/s/c"]);
    }
}
