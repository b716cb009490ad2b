//! Content, and where the bytes are.

use super::*;
use crate::inspect::content::Spool;
use crate::inspect::{select, usage};
use crate::state::entry::Kind;

#[test]
fn every_file_reads_as_it_was_from_any_layer() {
    let scene = Scene::full();
    scene.save("one", None);
    scene.write("build/src/deep/b", "changed");
    fs::copy(scene.at("build/src/a.txt"), scene.at("build/copy")).unwrap();
    let state = scene.save("two", Some("one"));
    let mut spool = Spool::fill(&state, &vec![true; state.records().len()]).unwrap();
    let mut read = 0;
    for (index, record) in state.records().iter().enumerate().filter(|(_, record)| record.entry.is_file()) {
        let path = std::str::from_utf8(&record.entry.path).unwrap().replace("outputs/", "store/");
        let content = fs::read(scene.at(&path)).unwrap();
        assert!(spool.content(record, index).unwrap() == content, "{path}");
        for (offset, len) in [(0, 10), (499_990, 20), (500_003, 1 << 20), (content.len(), 1)] {
            let expected = &content[offset.min(content.len())..(offset + len).min(content.len())];
            assert!(spool.part(record, index, offset as u64, len).unwrap() == expected, "{path} {offset}");
        }
        read += 1;
    }
    assert_eq!(read, 8);
    assert!(state.records().iter().any(|record| record.entry.kind == Kind::Sparse));
}

#[test]
fn bytes_are_counted_by_directory_and_by_layer() {
    let scene = Scene::full();
    scene.save("one", None);
    scene.write("build/src/deep/b", "new content");
    let state = scene.save("two", Some("one"));
    let all = vec![true; state.records().len()];
    let used = |depth| {
        let usage = usage::directories(&state, &all, depth).into_iter();
        usage.map(|u| (String::from_utf8(u.path).unwrap(), u.bytes, u.files, u.own)).collect::<Vec<_>>()
    };
    let shell = fs::metadata(scene.at("shell")).unwrap().len();
    let (build, src) = (700 + 11 + (3 << 20) + (1 << 20), 711);
    let whole = [
        (String::new(), build + 10 + shell, 7, 11),
        ("build".to_owned(), build, 5, 11),
        ("outputs".to_owned(), 10, 1, 0),
        ("shell".to_owned(), shell, 1, 0),
    ];
    assert_eq!(used(1), whole);
    assert!(used(9).contains(&("build/src".to_owned(), src, 2, 11)));
    let chosen = select::all(&state, [OsStr::new("build/src/deep")]).unwrap();
    assert_eq!(usage::directories(&state, &chosen, 0)[0].bytes, 11);
    let layers = usage::layers(&state).unwrap();
    let told: Vec<(&str, u64)> = layers.iter().map(|layer| (layer.stage.as_str(), layer.members)).collect();
    // The directory has another mtime, too.
    assert_eq!((told[0].0, told[1]), ("one", ("two", 1)));
    assert_eq!(layers[0].data - layers[0].living, 1, "the old content of b");
    assert_eq!((layers[1].data, layers[1].living), (11, 11));
    assert!(layers.iter().all(|layer| layer.stored > 0));
}
