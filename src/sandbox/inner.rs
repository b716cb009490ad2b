//! Process 1 of the room: mounts what is seen in it, gives up its rights and starts the command.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount};
use rustix::process::Signal as DeathSignal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Bind, Room, SandboxError, failed, files, outer, terminal};

/// Where the old root hangs while the new one is put together.
const OLD: &str = "/.old";

/// Runs the command of the room that `file` describes, and gives its exit code.
pub fn run(file: &Path) -> Result<u8, SandboxError> {
    rustix::process::set_parent_process_death_signal(Some(DeathSignal::KILL))
        .map_err(|source| failed("tie the sandbox to this program", source.into()))?;
    let room = super::read(file)?;
    outer::private_mounts()?;
    furnish(&room)?;
    give_up_rights().map_err(|source| failed("give up the rights to mount", source))?;
    let status = command(&room)?;
    Ok(outer::code(status))
}

/// Makes the room and moves in.
fn furnish(room: &Room) -> Result<(), SandboxError> {
    let top = &room.root;
    let at = |path: &Path| top.join(path.strip_prefix("/").unwrap_or(path));
    let mounting = |what: &Path| {
        let operation = format!("mount {} in the sandbox", what.display());
        move |source: io::Error| failed(operation, source)
    };
    let inside = |name: &str| PathBuf::from(name);

    tmpfs(top, c"mode=0755").map_err(mounting(Path::new("/")))?;
    files::write(top, &room.home).map_err(|source| failed("write the sandbox's /etc", source))?;
    devices(top).map_err(mounting(Path::new("/dev")))?;
    let proc = at(Path::new("/proc"));
    make_directory(&proc)
        .and_then(|()| {
            Ok(mount("proc", &proc, "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?)
        })
        .map_err(mounting(&inside("/proc")))?;
    for bind in &room.binds {
        bound(bind, &at(&bind.to)).map_err(mounting(&bind.to))?;
    }
    store(room, &at(&room.store.to)).map_err(mounting(&room.store.to))?;

    let old = at(Path::new(OLD));
    let moved = make_directory(&old).and_then(|()| {
        rustix::process::pivot_root(top, &old)?;
        std::env::set_current_dir("/")?;
        unmount(OLD, UnmountFlags::DETACH)?;
        fs::remove_dir(OLD)?;
        read_only(Path::new("/"))
    });
    moved.map_err(|source| failed("enter the sandbox", source))
}

/// The machine's store paths, each at its place in a directory that can be written to.
fn store(room: &Room, place: &Path) -> io::Result<()> {
    make_directory(place)?;
    mount_bind(&room.store.from, place)?;
    // What is bound from a read-only mount is read-only, so one remount serves all.
    let source = room.root.join(".store");
    let machine = room.store_paths.first().and_then(|path| path.parent());
    let Some(machine) = machine else { return Ok(()) };
    make_directory(&source)?;
    mount_bind(machine, &source)?;
    read_only(&source)?;
    for path in &room.store_paths {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let place = place.join(name);
        let kind = fs::symlink_metadata(path)?.file_type();
        // What cannot be mounted on lies there already: `files::store_places`.
        if !kind.is_symlink() {
            mount_bind(source.join(name), &place)?;
        }
    }
    unmount(&source, UnmountFlags::DETACH)?;
    fs::remove_dir(&source)
}

fn bound(bind: &Bind, place: &Path) -> io::Result<()> {
    let metadata = match fs::metadata(&bind.from) {
        Err(error) if bind.optional && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if fs::symlink_metadata(place).is_ok_and(|there| there.is_symlink()) {
        return Ok(());
    }
    if metadata.is_dir() {
        make_directory(place)?;
    } else {
        make_file(place)?;
    }
    mount_bind_recursive(&bind.from, place)?;
    if bind.writable { Ok(()) } else { read_only(place) }
}

/// As few as Nix has.
fn devices(root: &Path) -> io::Result<()> {
    let dev = root.join("dev");
    for name in ["full", "null", "random", "tty", "urandom", "zero"] {
        let place = dev.join(name);
        make_file(&place)?;
        mount_bind(Path::new("/dev").join(name), &place)?;
    }
    let shm = dev.join("shm");
    make_directory(&shm)?;
    tmpfs(&shm, c"mode=1777")?;
    let pts = dev.join("pts");
    make_directory(&pts)?;
    mount("devpts", &pts, "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, c"newinstance,ptmxmode=0666,mode=620")?;
    symlink("pts/ptmx", dev.join("ptmx"))?;
    symlink("/proc/self/fd", dev.join("fd"))?;
    for (number, name) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), dev.join(name))?;
    }
    Ok(())
}

fn tmpfs(place: &Path, options: &std::ffi::CStr) -> io::Result<()> {
    Ok(mount("tmpfs", place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)?)
}

/// A mount that came from outside keeps its other restrictions: the kernel lets nobody inside lift them.
fn read_only(place: &Path) -> io::Result<()> {
    let now = rustix::fs::statvfs(place)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (has, keep) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if now.contains(has) {
            flags |= keep;
        }
    }
    Ok(mount_remount(place, flags, c"")?)
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn make_file(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_directory)?;
    File::create_new(path)
        .map(drop)
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// Nothing that is started from here on can mount, or become more than it is.
fn give_up_rights() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Runs it, and reaps what it leaves behind; gives its own status.
fn command(room: &Room) -> Result<ExitStatus, SandboxError> {
    let [program, arguments @ ..] = &room.command[..] else {
        return Err(failed("start nothing", io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        // As Nix starts a builder; bash looks at it.
        .arg0(Path::new(program).file_name().unwrap_or(program.as_ref()))
        .env_clear()
        .envs(room.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&room.directory);
    if room.interactive {
        command.process_group(0);
    }
    let signals = terminal::Signals::hold();
    let child = signals
        .let_through(|| command.spawn())
        .map_err(|source| failed(format!("start {program} in the sandbox"), source))?;
    if room.interactive {
        terminal::give_to(&child);
    }
    signals.wait_reaping(&child).map_err(|source| failed("wait for the command", source))
}
