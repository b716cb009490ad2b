//! The process between this program and the room: makes the namespaces, starts `inner` as their process 1 and waits.
//!
//! A process that unshares its process namespace stays outside of it; its children are in. So it is this one that can be
//! told to end the room, by a signal, and that knows when all of it is gone.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use nix::sched::{CloneFlags, unshare};
use rustix::process::Signal as DeathSignal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{GID, SandboxError, UID, failed, itself, loopback, terminal};

/// What `inner` needs to be allowed to in the new user namespace.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// Whether the kernel lets us: namespaces, and a mount in them (`AppArmor` allows the first and forbids the second).
pub fn trial() -> Result<(), SandboxError> {
    namespaces()?;
    private_mounts()
}

/// Runs the room that `file` describes, and gives its command's exit code.
pub fn run(file: &Path) -> Result<u8, SandboxError> {
    // Before there is a child to end.
    let signals = terminal::Signals::hold();
    namespaces()?;
    // Making namespaces forgets it, so not before.
    rustix::process::set_parent_process_death_signal(Some(DeathSignal::KILL))
        .map_err(|source| failed("tie the sandbox to this program", source.into()))?;
    loopback::up().map_err(|source| failed("switch the loopback interface on", source))?;
    rustix::system::sethostname(b"localhost").map_err(|source| failed("name the sandbox", source.into()))?;
    keep_over_exec().map_err(|source| failed("keep the rights to mount", source))?;
    let child = itself("inner").arg(file).spawn().map_err(|source| failed("start this program", source))?;
    // Process 1 of a namespace takes all others with it, and is gone only when they are.
    let ended = signals.wait(child, terminal::Sent::KILL).map_err(|source| failed("wait for the sandbox", source))?;
    Ok(code(ended.status))
}

/// What a shell makes of a status.
pub fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn namespaces() -> Result<(), SandboxError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .map_err(|errno| failed("make namespaces (unshare)", errno.into()))?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{UID} {} 1", uid.as_raw())),
        ("gid_map", format!("{GID} {} 1", gid.as_raw())),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|source| failed(format!("write /proc/self/{file}"), source))?;
    }
    Ok(())
}

/// Mounts from here on are not seen outside.
pub fn private_mounts() -> Result<(), SandboxError> {
    use rustix::mount::{MountPropagationFlags as Flags, mount_change};
    mount_change("/", Flags::REC | Flags::PRIVATE).map_err(|source| failed("make mounts private", source.into()))
}

/// `inner` is not root in there, so without this it would start with no rights.
fn keep_over_exec() -> io::Result<()> {
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: NEEDED, permitted: NEEDED, inheritable: NEEDED },
    )?;
    Ok(rustix::thread::configure_capability_in_ambient_set(NEEDED, true)?)
}
