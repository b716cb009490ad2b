//! Each question of a round finds what is put there on purpose.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::look::{self, Before};
use crate::rounds::Rounds;
use crate::support::succeed;
use crate::world::VARIANTS;

/// Changes a file of a store path, which is read-only.
fn change(path: &Path, file: &str, content: &[u8]) {
    let file = path.join(file);
    for (path, mode) in [(path, 0o755), (&file, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }
    // The store may keep equal files as one, so the file is replaced.
    fs::remove_file(&file).expect("removed");
    fs::write(&file, content).expect("written");
}

impl Rounds {
    /// Shows that each question finds what is put there on purpose.
    pub fn planted(&mut self) {
        let none = Vec::<String>::new();
        self.build_all(&[VARIANTS - 1, 1, 0]);
        let world = &self.world;
        let reference = &self.references[0];

        // A cache: a file that was cut off, one that went, and a path that it does not have.
        let cache = world.path("planted");
        succeed(&mut self.push(&format!("file://{}", cache.display()), "none"));
        assert_eq!(
            (look::cache_damaged(world, &cache), look::cache_lacks(&cache, &reference.paths)),
            (none.clone(), none.clone())
        );
        let nar = fs::read_dir(cache.join("nar")).expect("there").flatten().next().expect("one").path();
        let whole = fs::read(&nar).expect("read");
        fs::write(&nar, &whole[..whole.len() / 2]).expect("written");
        assert_eq!(look::cache_damaged(world, &cache).len(), 1);
        fs::remove_file(&nar).expect("removed");
        assert_eq!(look::cache_damaged(world, &cache).len(), 1);
        assert_eq!(look::cache_lacks(&cache, &self.references[1].paths).len(), 2, "another install and another result");

        // A root that is gone, one that leads nowhere, an entry that is half written.
        let before = Before::of(world);
        assert_eq!((before.lost(world, |_| false), look::dangling(world)), (none.clone(), none.clone()));
        let link = before.rooted.iter().find(|(_, (_, path))| *path == reference.paths[3]).expect("rooted").0;
        fs::remove_file(link).expect("removed");
        assert_eq!(before.lost(world, |_| false).len(), 2, "it is gone, and nothing says that it was given up");
        assert_eq!(before.lost_by_build(world).len(), 2, "and it was one of the last two");
        assert_eq!(look::unknown(world, reference.states()).len(), 1);
        std::os::unix::fs::symlink(reference.paths[3].replace("-install", "-instale"), link).expect("linked");
        assert_eq!(look::dangling(world).len(), 1);
        let index = world.path("state/phasesplit/planted.json");
        fs::write(&index, "{").expect("written");
        assert_eq!(look::unreadable(world).len(), 1);
        fs::remove_file(&index).expect("removed");

        // Another result, another state, and a byte in each.
        assert_eq!(self.references[0].compare(world), none);
        world.write(1);
        let other = succeed(&mut world.build());
        assert_eq!(self.references[0].compare_build(world, &other).len(), 1);
        assert_eq!(look::damaged(world), none);
        change(Path::new(reference.result()), "how", b"otherwise");
        assert_eq!(reference.compare(world).len(), 1);
        let other = Path::new(&self.references[1].paths[3]);
        let manifest = fs::read(other.join("manifest.zst")).expect("read");
        let layer = fs::read(other.join("layer.tar.zst")).expect("read");
        change(Path::new(&reference.paths[3]), "manifest.zst", &manifest);
        change(Path::new(&reference.paths[3]), "layer.tar.zst", &layer);
        assert_eq!(reference.compare(world).len(), 2);
        assert_eq!(look::damaged(world).len(), 1);
    }
}
