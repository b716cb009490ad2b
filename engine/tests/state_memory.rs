//! Memory: what an operation takes does not grow with the tree. The tree here is described by more bytes than the engine may
//! have, in few entries, so that it is soon made.

mod state_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use state_support::{Scene, done, engine, noise};

/// What the engine may take, in KiB: less than the links of the tree.
const MEMORY: &str = "96000";

/// Directories, and links in each.
const TREE: (usize, usize) = (100, 260);

/// Bytes of a link: nearly what a kernel takes, so that there are few to make.
const LINK: usize = 3900;

/// The engine with these arguments, on one processor, since every further one has its buffers.
fn bounded(arguments: &Command) -> Command {
    let mut bounded = Command::new("bash");
    bounded.args(["-c", "ulimit -d \"$1\" && exec taskset -c \"$2\" \"${@:3}\"", "bash", MEMORY, &first_processor()]);
    bounded.arg(arguments.get_program()).args(arguments.get_args());
    bounded
}

/// One that this process may use.
fn first_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    allowed.trim().split([',', '-']).next().unwrap().to_owned()
}

fn fill(tree: &Path) {
    // Letters that no hash has, or the search for hashes takes long in a build for tests.
    let text: String = noise(LINK).iter().map(|byte| char::from(b"eotu"[usize::from(byte % 4)])).collect();
    for directory in 0..TREE.0 {
        let directory = tree.join(format!("{directory:04}"));
        fs::create_dir(&directory).unwrap();
        for link in 0..TREE.1 {
            symlink(format!("{link}/{text}"), directory.join(format!("{link:04}"))).unwrap();
        }
    }
}

#[test]
fn no_operation_takes_more_memory_for_a_larger_tree() {
    assert!(TREE.0 * TREE.1 * LINK / 1024 > MEMORY.parse().unwrap());
    // A disk would take longer for the links than the engine; that memory is not the engine's.
    let memory = Path::new("/dev/shm");
    let scene = if memory.is_dir() { Scene::new_in(memory) } else { Scene::new() };
    fill(&scene.at("build"));
    done(&bounded(&scene.save_command("one", None)).output().unwrap());
    done(&bounded(&scene.save_command("two", Some("one"))).output().unwrap());
    let mut list = engine();
    list.arg("ls").arg(scene.at("two"));
    let listed = bounded(&list).output().unwrap();
    done(&listed);
    assert_eq!(
        listed.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"l")).count(),
        TREE.0 * TREE.1 + 1
    );
    let before = scene.described();
    scene.clear();
    done(&bounded(&scene.restore_command("two")).output().unwrap());
    assert!(scene.described() == before);
}
