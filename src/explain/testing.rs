//! Derivations for tests, from a few words.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::source::drv::{Derivations, Drv, DrvOutput};

/// Derivations by their paths.
#[derive(Default)]
pub(super) struct Store(BTreeMap<String, Rc<Drv>>);

impl Derivations for Store {
    fn derivation(&self, path: &str) -> Result<Rc<Drv>, String> {
        self.0.get(path).cloned().ok_or_else(|| format!("{path} is not in the store"))
    }
}

/// A store path: `path('1', "zlib-1.3")`.
pub(super) fn path(hash: char, name: &str) -> String {
    format!("/nix/store/{}-{name}", hash.to_string().repeat(32))
}

impl Store {
    /// Puts a derivation there: its output, and its `.drv` beside it.
    pub(super) fn add(&mut self, out: &str, drv: Drv) -> String {
        let path = format!("{out}.drv");
        let drv = Drv { outputs: BTreeMap::from([("out".to_owned(), DrvOutput::Path(out.to_owned()))]), ..drv };
        self.0.insert(path.clone(), Rc::new(drv));
        path
    }

    /// The same for a download.
    pub(super) fn add_fixed(&mut self, out: &str, drv: Drv) -> String {
        let path = self.add(out, drv);
        if let Some(drv) = self.0.get_mut(&path) {
            Rc::make_mut(drv).outputs = BTreeMap::from([("out".to_owned(), DrvOutput::Fixed { path: out.to_owned() })]);
        }
        path
    }
}

/// A derivation with these attributes, which needs these store paths: `.drv`s and others.
pub(super) fn drv(attributes: &[(&str, &str)], inputs: &[&str]) -> Drv {
    let is_drv = |path: &&&str| path.rsplit('.').next() == Some("drv");
    Drv {
        name: "test".to_owned(),
        system: "x86_64-linux".to_owned(),
        builder: "/bin/bash".to_owned(),
        args: vec!["-e".to_owned(), "/builder.sh".to_owned()],
        env: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        outputs: BTreeMap::new(),
        input_drvs: inputs.iter().filter(is_drv).map(|path| ((*path).to_owned(), vec!["out".to_owned()])).collect(),
        input_srcs: inputs.iter().filter(|path| !is_drv(path)).map(|path| (*path).to_owned()).collect(),
        structured: None,
    }
}
