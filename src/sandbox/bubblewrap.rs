//! The same room made by `bwrap`: for kernels that let only some programs make namespaces (`AppArmor` profiles), or none but
//! setuid ones.

use std::ffi::OsString;
use std::fs;
use std::process::{Child, Command, Stdio};

use super::{GID, Room, SandboxError, UID, failed, files};

/// Its name.
pub const PROGRAM: &str = "bwrap";

/// Whether there is one and it can make namespaces: also that of users, without which it can be no other user.
pub fn works() -> bool {
    let (uid, gid) = (UID.to_string(), GID.to_string());
    let trial = Command::new(PROGRAM)
        .args(["--unshare-all", "--uid", &uid, "--gid", &gid, "--ro-bind", "/", "/", "/proc/self/exe", "--version"])
        .stdin(Stdio::null())
        .output();
    trial.is_ok_and(|output| output.status.success())
}

/// Starts the room's command. bwrap ends the room when it ends (`--die-with-parent`), also by a signal.
pub fn start(room: &Room) -> Result<Child, SandboxError> {
    files::write(&room.root, &room.home).map_err(|source| failed("write the sandbox's /etc", source))?;
    Command::new(PROGRAM).args(arguments(room)).spawn().map_err(|source| failed("start bwrap", source))
}

fn arguments(room: &Room) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["--unshare-all", "--die-with-parent", "--clearenv", "--uid"].map(Into::into).into();
    words.extend([
        UID.to_string().into(),
        "--gid".into(),
        GID.to_string().into(),
        "--hostname".into(),
        "localhost".into(),
    ]);
    let mut bind = |kind: &str, from: OsString, to: OsString| words.extend([kind.into(), from, to]);
    // One by one: something of the machine's /etc may come beside them.
    for name in ["passwd", "group", "hosts"] {
        bind("--ro-bind", room.root.join("etc").join(name).into(), format!("/etc/{name}").into());
    }
    for each in &room.binds {
        let kind = match (each.writable, each.optional) {
            (true, false) => "--bind",
            (true, true) => "--bind-try",
            (false, false) => "--ro-bind",
            (false, true) => "--ro-bind-try",
        };
        bind(kind, each.from.clone().into(), each.to.clone().into());
    }
    bind("--bind", room.store.from.clone().into(), room.store.to.clone().into());
    for path in &room.store_paths {
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_symlink()) {
            let to = path.file_name().map_or_else(|| path.clone(), |name| room.store.to.join(name));
            bind("--ro-bind", path.clone().into(), to.into());
        }
    }
    // Its /, which holds all the places, cannot be written to either, once all are there.
    words.extend(["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--chdir"].map(Into::into));
    words.push(room.directory.clone().into());
    for (name, value) in &room.environment {
        words.extend(["--setenv".into(), name.into(), value.into()]);
    }
    words.push("--".into());
    words.extend(room.command.iter().map(Into::into));
    words
}
