//! Machines that fail: a full disk, a killed engine, a file that cannot be read. Whatever happens, no half state passes for
//! a whole one, and neither does a half tree; and the next try, on a machine that works, succeeds.
//!
//! What needs a small file system of its own, or a file of the kernel's that cannot be read, needs root; without it the test
//! says so and does nothing.

mod state_support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use state_support::{Scene, Tree, describe, done, engine, names, noise};

/// A mount that ends with the test.
struct Mount(PathBuf);

impl Mount {
    /// A file system in memory, of so many bytes. `None` where this user may not mount.
    fn small(at: &Path, size: usize) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        Self::attach(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at)
    }

    /// A file of the kernel's over another one: a regular file of 4,096 bytes whose content cannot be read.
    fn unreadable(over: &Path) -> Option<Self> {
        let source = "/sys/class/net/lo/phys_port_id";
        if fs::read(source).is_ok() || fs::metadata(source).is_err() {
            return None;
        }
        Self::attach(&["--bind", source], over)
    }

    fn attach(arguments: &[&str], at: &Path) -> Option<Self> {
        let status = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
        let mounted = status.is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: this user may not mount {arguments:?}");
        }
        mounted.then(|| Self(at.into()))
    }

    fn grow(&self, size: usize) {
        let option = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &option]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

/// More than a few blocks: files that shrink and files that do not, one long.
fn fill(scene: &Scene) {
    for index in 0..40 {
        fs::write(scene.at(&format!("build/dir/{index}")), noise(2000 + 500 * index)).unwrap();
    }
    fs::write(scene.at("build/long"), noise(3 << 20)).unwrap();
}

#[track_caller]
fn failed(output: &Output, says: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(says) && message.lines().count() == 1, "{message}");
}

const FULL: &str = "No space left on device (os error 28); free some space on that file system";

#[test]
fn a_save_to_a_full_disk_leaves_no_state() {
    let scene = Scene::new();
    fill(&scene);
    let whole = scene.described();
    let Some(disk) = Mount::small(&scene.at("disk"), 8 << 10) else { return };
    let mut refused = 0;
    // To where it fits: the last of them fail in the manifest, or in info.json.
    for size in (8 << 10..8 << 20).step_by(300_000).chain([16 << 20]) {
        disk.grow(size);
        let output = scene.save("disk/state", None);
        if output.status.success() {
            break;
        }
        failed(&output, FULL);
        assert_eq!(names(&scene.at("disk/state")), [""; 0], "what is left takes the space that is needed");
        refused += 1;
        fs::remove_dir(scene.at("disk/state")).unwrap();
    }
    assert!(refused > 5, "{refused}");
    assert_eq!(scene.described(), whole, "saving changed the tree");
    scene.clear();
    done(&scene.restore_command("disk/state").output().unwrap());
    assert_eq!(scene.described(), whole);
}

/// The last files are small: only a disk that is full to the byte fails there.
#[test]
fn a_disk_full_at_the_last_file_leaves_no_state() {
    let scene = Scene::new();
    let Some(disk) = Mount::small(&scene.at("disk"), 64 << 10) else { return };
    let mut refused = 0;
    // A page less each time that the ballast takes, until a state fits.
    for ballast in (0..16).rev() {
        fs::write(scene.at("disk/ballast"), vec![1; ballast * 4096]).unwrap();
        let output = scene.save("disk/state", None);
        if output.status.success() {
            break;
        }
        failed(&output, FULL);
        assert!(!scene.at("disk/state/info.json").exists());
        _ = fs::remove_dir_all(scene.at("disk/state"));
        refused += 1;
    }
    assert!((2..16).contains(&refused), "{refused}");
    drop(disk);
}

#[test]
fn a_restore_to_a_full_disk_does_not_pass_for_whole() {
    let scene = Scene::new();
    fill(&scene);
    let whole = scene.described();
    done(&scene.save("one", None));
    scene.clear();
    let Some(disk) = Mount::small(&scene.at("build"), 8 << 10) else { return };
    let mut refused = 0;
    for size in (8 << 10..8 << 20).step_by(500_000).chain([16 << 20]) {
        disk.grow(size);
        let output = scene.restore_command("one").output().unwrap();
        if output.status.success() {
            break;
        }
        failed(&output, FULL);
        assert!(!scene.at("shell").exists(), "passes for whole");
        refused += 1;
        scene.clear();
    }
    assert!(refused > 5, "{refused}");
    assert_eq!(scene.described(), whole);
    scene.clear();
}

const STAGED: &str = "/nix/store/q9x1lc4z8j0v7kdz5gs2p6wn3hb1rf8y-hello-2.10";
const REAL: &str = "/nix/store/0000000000mmmmmmmmmm1111111111dd-hello-2.10";

/// An output with many mentions of its staged prefix: in files, links, names, and in gzip.
fn output(at: &Path) {
    fs::create_dir_all(at.join("lib")).unwrap();
    for index in 0..60 {
        let text = format!("{STAGED}/lib/{index}\n").repeat(20);
        fs::write(at.join(format!("lib/{index}")), &text).unwrap();
        symlink(format!("{STAGED}/lib/{index}"), at.join(format!("lib/link-{index}"))).unwrap();
    }
    fs::hard_link(at.join("lib/1"), at.join("lib/1 again")).unwrap();
    fs::write(at.join(format!("lib/{}", &STAGED["/nix/store/".len()..])), "named").unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for index in 0..3000 {
        writeln!(gzip, "{index} {STAGED} {:?}", blake3::hash(&[u8::try_from(index % 251).unwrap()])).unwrap();
    }
    let gzip = gzip.finish().unwrap();
    fs::write(at.join("lib/a.gz"), &gzip).unwrap();
    fs::write(at.join("lib/b.gz"), &gzip).unwrap();
    fs::hard_link(at.join("lib/b.gz"), at.join("lib/b2.gz")).unwrap();
}

fn relocate(tree: &Path) -> Command {
    let mut command = engine();
    command.args(["relocate", "--map", &format!("{STAGED}={REAL}"), "--tree"]).arg(tree);
    command
}

/// Contents, links and names, without times: those of a directory tell when it was interrupted.
fn told(tree: &Path) -> Tree {
    let mut found = Tree::new();
    describe(tree, &mut found);
    found
        .into_iter()
        .map(|(path, (mode, _, _, content))| (path.strip_prefix(tree).unwrap().to_owned(), (mode, 0, 0, content)))
        .collect()
}

fn relocated() -> Tree {
    let root = tempfile::tempdir().unwrap();
    output(&root.path().join("out"));
    done(&relocate(&root.path().join("out")).output().unwrap());
    told(&root.path().join("out"))
}

#[test]
fn a_relocation_on_a_full_disk_fails_and_succeeds_with_room() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("disk");
    let Some(mount) = Mount::small(&disk, 4 << 20) else { return };
    let tree = disk.join("out");
    output(&tree);
    // All that is left.
    let mut ballast = fs::File::create(disk.join("ballast")).unwrap();
    while ballast.write_all(&[1; 4096]).is_ok() {}
    drop(ballast);
    let first = relocate(&tree).output().unwrap();
    if !first.status.success() {
        failed(&first, "No space left on device");
        mount.grow(16 << 20);
        done(&relocate(&tree).output().unwrap());
    }
    assert!(told(&tree) == relocated());
}

/// How long a command takes, at least a few milliseconds.
fn time(command: &mut Command) -> Duration {
    let started = Instant::now();
    done(&command.output().unwrap());
    started.elapsed().max(Duration::from_millis(5))
}

/// Kills a command at each of `count` moments of its time. True if it had ended before: then the machine is faster now than when
/// `whole` was measured, and the next moments come sooner.
fn kill_at(command: &mut Command, whole: &mut Duration, index: u32, count: u32) -> bool {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(*whole * index / count);
    child.kill().unwrap();
    let has_ended = child.wait().unwrap().success();
    if has_ended {
        *whole /= 4;
    }
    has_ended
}

/// `PHASESPLIT_MOMENTS` asks for more.
fn moments() -> u32 {
    std::env::var("PHASESPLIT_MOMENTS").ok().and_then(|moments| moments.parse().ok()).unwrap_or(10)
}

#[test]
fn a_killed_save_leaves_a_whole_state_or_none() {
    let scene = Scene::new();
    fill(&scene);
    let whole = scene.described();
    let mut took = time(&mut scene.save_command("one", None));
    let mut killed = 0;
    let moments = moments();
    for index in 0..moments {
        fs::remove_dir_all(scene.at("one")).unwrap();
        let ended = kill_at(&mut scene.save_command("one", None), &mut took, index, moments);
        killed += u32::from(!ended);
        assert_eq!(scene.described(), whole, "a killed save changed the tree");
        if !scene.at("one").exists() {
            fs::create_dir(scene.at("one")).unwrap();
        }
        if scene.at("one/info.json").exists() {
            scene.clear();
            done(&scene.restore_command("one").output().unwrap());
            assert_eq!(scene.described(), whole, "killed at {index} of {moments}");
        } else {
            failed(&engine().arg("ls").arg(scene.at("one")).output().unwrap(), "it is not a state");
        }
    }
    println!("{killed} of {moments} killed");
    assert!(killed > 2, "{killed}");
    fs::remove_dir_all(scene.at("one")).unwrap();
    done(&scene.save("one", None));
}

#[test]
fn a_killed_restore_does_not_pass_for_whole() {
    let scene = Scene::new();
    fill(&scene);
    let whole = scene.described();
    done(&scene.save("one", None));
    scene.clear();
    let mut took = time(&mut scene.restore_command("one"));
    let mut killed = 0;
    let moments = moments();
    for index in 0..moments {
        scene.clear();
        let ended = kill_at(&mut scene.restore_command("one"), &mut took, index, moments);
        killed += u32::from(!ended);
        assert!(!scene.at("shell").exists() || scene.described() == whole, "killed at {index} of {moments}");
        // The next one finds an empty place, as a build does; what the killed one wrote beside it is no obstacle.
        scene.clear();
        done(&scene.restore_command("one").output().unwrap());
        assert_eq!(scene.described(), whole);
    }
    println!("{killed} of {moments} killed");
    assert!(killed > 2, "{killed}");
}

#[test]
fn a_killed_relocation_is_carried_on() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("out");
    output(&tree);
    let mut took = time(&mut relocate(&tree));
    let whole = relocated();
    let mut killed = 0;
    let moments = moments();
    for index in 0..moments {
        fs::remove_dir_all(&tree).unwrap();
        output(&tree);
        killed += u32::from(!kill_at(&mut relocate(&tree), &mut took, index, moments));
        done(&relocate(&tree).output().unwrap());
        let now = told(&tree);
        let other = whole.iter().find(|(path, is)| now.get(*path) != Some(*is)).map(|(path, _)| path);
        let more = now.keys().find(|path| !whole.contains_key(*path));
        assert!(other.is_none() && more.is_none(), "killed at {index} of {moments}: {other:?} {more:?}");
    }
    println!("{killed} of {moments} killed");
    assert!(killed > 2, "{killed}");
}

#[test]
fn a_file_that_cannot_be_read_stops_a_save() {
    let scene = Scene::new();
    fs::write(scene.at("build/dir/z"), "x").unwrap();
    let Some(_mount) = Mount::unreadable(&scene.at("build/dir/z")) else { return };
    failed(&scene.save("one", None), "build/dir/z: ");
    assert_eq!(names(&scene.at("one")), [""; 0]);
}

#[test]
fn a_layer_that_cannot_be_read_stops_a_restore() {
    let scene = Scene::saved();
    let Some(mount) = Mount::unreadable(&scene.at("two/layer.tar.zst")) else { return };
    failed(&scene.restore_command("two").output().unwrap(), "two/layer.tar.zst: ");
    assert!(!scene.at("shell").exists(), "passes for whole");
    drop(mount);
    scene.clear();
    done(&scene.restore_command("two").output().unwrap());
}

#[test]
fn a_file_that_cannot_be_read_stops_a_relocation_before_it_writes() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("out");
    output(&tree);
    fs::write(tree.join("lib/zzz"), "x").unwrap();
    let before = told(&tree);
    let Some(mount) = Mount::unreadable(&tree.join("lib/zzz")) else { return };
    let output = relocate(&tree).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && message.contains("lib/zzz"), "{message}");
    drop(mount);
    assert!(told(&tree) == before);
}

/// Another user's file, with no bit for us.
#[test]
fn a_user_stops_at_a_file_that_is_closed() {
    let scene = Scene::new();
    let secret = scene.at("build/dir/secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    for name in
        ["build", "build/dir", "build/a", "build/b", "build/dir/f", "build/l", "store", "store/out", "store/out/o"]
    {
        if std::os::unix::fs::lchown(scene.at(name), Some(65_534), Some(65_534)).is_err() {
            eprintln!("skipped: this user may not give files away");
            return;
        }
    }
    chown(scene.root.path(), Some(65_534), Some(65_534)).unwrap();
    let program = scene.at("engine");
    fs::copy(env!("CARGO_BIN_EXE_phasesplit-state"), &program).unwrap();
    let save = scene.save_command("one", None);
    let output = Command::new(program).args(save.get_args()).uid(65_534).gid(65_534).output().unwrap();
    failed(&output, "build/dir/secret: Permission denied (os error 13); make it readable");
    assert_eq!(names(&scene.at("one")), [""; 0]);
}

/// A program that the phase left running writes on while its files are saved.
#[test]
fn a_file_that_changes_while_it_is_saved_is_no_half_file() {
    let scene = Scene::new();
    let path = scene.at("build/log");
    fs::write(&path, noise(8 << 20)).unwrap();
    let mut refused = 0;
    for index in 0..20 {
        let file = fs::File::options().write(true).open(&path).unwrap();
        let child = scene.save_command("one", None).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(2 * index));
        file.set_len(1 << 20).unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            // It was read before, or after.
            assert!(scene.at("one/info.json").exists());
        } else {
            failed(&output, "build/log: it changed while it was being saved; end the background processes");
            assert_eq!(names(&scene.at("one")), [""; 0]);
            refused += 1;
        }
        _ = fs::remove_dir_all(scene.at("one"));
        fs::write(&path, noise(8 << 20)).unwrap();
    }
    println!("{refused} of 20 refused");
}
