//! The names and numbers that make up the format of a state directory, which `docs/state-format.md` describes for
//! readers in other languages. Whoever changes one changes what every cached state means: raise [`VERSION`] and say so
//! in the changelog as **Breaking**.
//!
//! A state is a directory:
//!
//! | file | content |
//! |---|---|
//! | `layer.tar.zst` | pax tar in zstd frames: what is new or changed since the parent, of `build`, `build/…`, `outputs/<NAME>[/…]`, `shell`, `shm/…`, `tmp/…`, in the order of [`super::entry::order`] |
//! | `manifest.zst` | the whole tree, one record per entry, in the same order: see [`super::manifest`] |
//! | `parent` | the state that the layer is the difference to: see [`super::chain`]; absent where the layer is all |
//! | `info.json` | what the state is: see [`super::info`]. Written last: a directory without it is no state |
//!
//! Not stored: owners (all members say 0), extended attributes and ACLs (the sandbox has none), access
//! times, devices (refused), and what Nix itself put into the build directory ([`super::nix_files`]).

use std::time::Duration;

/// The format version this engine writes, and the only one it reads.
pub const VERSION: u64 = 3;

/// The engine's own version. It changes when what the engine writes changes.
pub const ENGINE: &str = env!("CARGO_PKG_VERSION_MAJOR");

/// The longest chain of layers. A state on top of one this long stores the whole tree again.
pub const LAYERS: usize = 32;

/// How far a clock may be behind that of the machine that saved a state: a restore waits so long, more is a fault that it
/// reports. A save takes a file that is newer than its own clock by no more than this for one that a clock dated, which
/// was set back since, or was another machine's.
pub const SKEW: Duration = Duration::from_secs(10);

/// The archive's file name.
pub const LAYER: &str = "layer.tar.zst";
/// The manifest's file name.
pub const MANIFEST: &str = "manifest.zst";
/// The file that names the parent.
pub const PARENT: &str = "parent";
/// The description's file name.
pub const INFO: &str = "info.json";

/// Archive path of the build directory.
pub const BUILD: &[u8] = b"build";
/// Archive path above the staged outputs; it has no member of its own.
pub const OUTPUTS: &[u8] = b"outputs";
/// Archive path of the shell state.
pub const SHELL: &[u8] = b"shell";

/// Archive path above what is in the sandbox's `/tmp`; it has no member of its own.
pub const TMP: &[u8] = b"tmp";
/// Archive path above what is in the sandbox's `/dev/shm`; it has no member of its own.
pub const SHM: &[u8] = b"shm";

/// The directories outside the build directory that a state can have files of: archive path, and where the build has it.
pub const OUTSIDE: [(&[u8], &str); 2] = [(SHM, "/dev/shm"), (TMP, "/tmp")];

/// Whether an archive path stands above others without a member of its own.
pub fn has_no_member(path: &[u8]) -> bool {
    path == OUTPUTS || OUTSIDE.iter().any(|(root, _)| *root == path)
}
