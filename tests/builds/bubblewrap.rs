//! The room that `bwrap` makes, where the kernel does not let this program make one.
//!
//! Such a kernel is had by a user namespace in which a user has used up all namespaces it may make, and a `bwrap` that is
//! setuid root: the program's own try fails there as on a machine that forbids it, and `bwrap` may.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::other_user::OtherUser;
use crate::shell::{LOOK, assert_room, left, shell, small};
use crate::support::{succeed, text};

/// Makes the namespace, in which user `$1` can make no namespaces; says so, and goes when its standard input ends.
const FORBID: &str = r#"
held=()
trap 'kill "${held[@]}" 2>/dev/null; wait' EXIT
# Starts what holds a user namespace, and waits until it has it.
hold() {
  "$@" unshare --user sleep infinity & held+=($!)
  while [[ $(readlink "/proc/$!/ns/user") == "$(readlink /proc/self/ns/user)" ]]; do sleep 0.05; done
}
if [[ -z ${2-} ]]; then
  hold env
  for map in uid_map gid_map; do echo '0 0 65536' >"/proc/$!/$map"; done
  nsenter --user --target $! --setuid 0 --setgid 0 bash -c "$BASH_EXECUTION_STRING" forbid "$1" $!
else
  echo 4 >/proc/sys/user/max_user_namespaces
  for _ in 1 2 3 4; do hold setpriv --reuid "$1" --regid "$1" --clear-groups; done
  echo "$2"
  read -r
fi
"#;

/// Goes with this.
struct Forbidding {
    holder: Child,
    /// The process whose user namespace it is.
    process: String,
}

impl Forbidding {
    fn new() -> Self {
        use std::io::{BufRead as _, BufReader};
        let mut holder = Command::new("bash")
            .args(["-c", FORBID, "forbid", OtherUser::id()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut process = String::new();
        BufReader::new(holder.stdout.as_mut().expect("a pipe")).read_line(&mut process).expect("a line");
        Self { holder, process: process.trim().to_owned() }
    }

    /// What starts a program in it.
    fn enter(&self) -> [&str; 8] {
        ["nsenter", "--user", "--target", &self.process, "--setuid", "0", "--setgid", "0"]
    }
}

impl Drop for Forbidding {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn bwrap() -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).map(|directory| directory.join("bwrap")).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: there is no bwrap (Debian: bubblewrap)");
    }
    found
}

#[test]
fn where_the_kernel_lets_only_bwrap() {
    let Some(bwrap) = bwrap() else { return };
    let project = small("only-bwrap");
    let Some(user) = OtherUser::new(&project) else { return };
    let forbidding = Forbidding::new();
    let run = |search: String| {
        let mut command = user.shell(&forbidding.enter(), "build", &["--to", "install"], LOOK);
        command.env("PATH", search).output().expect("nsenter runs")
    };
    let search = std::env::var("PATH").expect("PATH is text");

    // One that is not setuid may no more than this program.
    let output = run(search.clone());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("this user cannot make a sandbox") && said.contains("--no-sandbox"), "{said}");

    let place = project.path().join("bin");
    fs::create_dir(&place).expect("made");
    fs::copy(&bwrap, place.join("bwrap")).expect("a copy");
    fs::set_permissions(place.join("bwrap"), fs::Permissions::from_mode(0o4755)).expect("ours");
    let output = run(format!("{}:{search}", place.display()));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_room(&text(&output.stdout));
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

#[test]
fn by_the_users_wish() {
    if bwrap().is_none() {
        return;
    }
    let project = small("by-bwrap");
    let by_bwrap = |options: &[&str], script: &str| {
        let mut command = shell(&project, "build", options, &[script]);
        command.env("PHASESPLIT_SANDBOX", "bwrap");
        command
    };
    let output = succeed(&mut by_bwrap(&["--to", "install"], LOOK));
    assert_room(&text(&output.stdout));
    // Process 1 in there is its, not ours.
    let first = succeed(&mut by_bwrap(&[], "cat /proc/1/comm"));
    assert_eq!(text(&first.stdout), "bwrap\n");
    let phases = succeed(&mut by_bwrap(&["--to", "install"], "genericBuild; ls \"$out/bin\""));
    assert!(text(&phases.stdout).ends_with("greet\n"), "{}", text(&phases.stdout));
    let code = by_bwrap(&[], "exit 7").status().expect("runs").code();
    assert_eq!(code, Some(7));
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}
