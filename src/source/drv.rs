//! What a `.drv` file says.
//!
//! The only module that knows the crate `nix-derivation`. (`nix-compat` would be the obvious choice,
//! but what carries that name on crates.io is an empty placeholder.) It must not know the store: the
//! caller reads the bytes.

use std::collections::BTreeMap;
use std::rc::Rc;

use nix_derivation::{Derivation, Error, Output, StoreDir};

use crate::diagnostic::Problem;

/// The largest `.drv` that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// A derivation, as far as splitting it needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drv {
    /// The name in the file's own name, without hash and `.drv`.
    pub name: String,
    /// The platform that builds it: `x86_64-linux`.
    pub system: String,
    /// The program that builds it.
    pub builder: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The environment. Values are text: see [`parse`].
    pub env: BTreeMap<String, String>,
    /// The outputs by name.
    pub outputs: BTreeMap<String, DrvOutput>,
    /// The derivations it needs, by their store paths, with the outputs it needs of each.
    pub input_drvs: BTreeMap<String, Vec<String>>,
    /// The store paths it needs besides.
    pub input_srcs: Vec<String>,
    /// The attributes of a derivation with `__structuredAttrs`.
    pub structured: Option<serde_json::Value>,
}

/// An output of a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrvOutput {
    /// Its path is known.
    Path(String),
    /// Its content is given beforehand.
    Fixed {
        /// Where it will be.
        path: String,
    },
    /// Its path is known after the build (content-addressed, impure, deferred).
    Floating,
}

/// Where derivations are read from.
pub trait Derivations {
    /// The derivation at a store path.
    ///
    /// # Errors
    /// Why it cannot be read, for a person.
    fn derivation(&self, path: &str) -> Result<Rc<Drv>, String>;
}

impl Drv {
    /// Whether a store path is one of its outputs.
    pub fn makes(&self, path: &str) -> bool {
        self.outputs
            .values()
            .any(|output| matches!(output, DrvOutput::Path(out) | DrvOutput::Fixed { path: out } if out == path))
    }

    /// Whether its result is given beforehand: nothing to gain from splitting it.
    pub fn is_fixed_output(&self) -> bool {
        self.outputs.values().any(|output| matches!(output, DrvOutput::Fixed { .. }))
    }
}

/// Parses the bytes of a `.drv`. `file` is its path: messages name it, and the derivation's name and
/// store directory are taken from it (a file outside a store gets `/nix/store`).
///
/// # Errors
/// What is malformed, with the byte offset where the parser knows it; a value that no Nix string
/// can hold (bytes that are not UTF-8: `split.nix` is text); dynamic inputs.
pub fn parse(bytes: &[u8], file: &str) -> Result<Drv, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::new("drv/too-large", format!("`{file}` is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let (store, name) = place(file);
    let store = StoreDir::new(store)
        .or_else(|_| StoreDir::new("/nix/store"))
        .map_err(|error| malformed(file, &error.to_string()))?;
    let drv = Derivation::from_aterm_bytes_in(bytes, &name, store.clone()).map_err(|error| refused(file, &error))?;

    let mut outputs = BTreeMap::new();
    for (output, kind) in drv.outputs() {
        let path = kind
            .path_in(&store, &name, output)
            .map_err(|error| refused(file, &error))?
            .map(|path| store.render_path(&path));
        let kind = match (kind, path) {
            (Output::Fixed { .. }, Some(path)) => DrvOutput::Fixed { path },
            (_, Some(path)) => DrvOutput::Path(path),
            (_, None) => DrvOutput::Floating,
        };
        outputs.insert(output.clone(), kind);
    }
    let mut input_drvs = BTreeMap::new();
    for (path, wanted) in drv.input_derivations() {
        if wanted.is_dynamic() {
            return Err(Problem::new(
                "drv/dynamic",
                format!("`{file}` depends on a derivation that another derivation makes"),
            )
            .help("dynamic derivations cannot be split; build it with `nix build`"));
        }
        input_drvs.insert(store.render_path(path), wanted.outputs().iter().cloned().collect());
    }
    let input_srcs = drv.input_sources().iter().map(|path| store.render_path(path)).collect();

    let builder = drv.into_builder();
    let mut env = BTreeMap::new();
    for (key, value) in builder.environment_entries() {
        env.insert(key.clone(), as_text(file, key, value)?);
    }
    let structured = match builder.structured_attrs_ref() {
        None => None,
        Some(attrs) => Some(
            serde_json::from_slice(attrs.raw_json())
                .map_err(|error| malformed(file, &format!("`__json` is not JSON: {error}")))?,
        ),
    };
    Ok(Drv {
        system: builder.system().to_owned(),
        builder: builder.builder().to_owned(),
        args: builder.arguments().to_vec(),
        name,
        env,
        outputs,
        input_drvs,
        input_srcs,
        structured,
    })
}

/// A value as text. Nix strings end at a NUL byte and `split.nix` is UTF-8, so neither fits.
fn as_text(file: &str, key: &str, value: &[u8]) -> Result<String, Problem> {
    let refuse = |why: String| {
        Problem::new("drv/value", format!("in `{file}` the value of `{key}` {why}"))
            .help("split the package's `.nix` file instead: there the value is computed, not copied")
    };
    if let Some(at) = value.iter().position(|&byte| byte == 0) {
        return Err(refuse(format!("holds a NUL byte at offset {at}")));
    }
    match std::str::from_utf8(value) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(refuse(format!("is not UTF-8 (offset {})", error.valid_up_to()))),
    }
}

/// The store directory and the derivation's name in the path of a `.drv`.
fn place(file: &str) -> (&str, String) {
    let (directory, base) = file.rsplit_once('/').unwrap_or(("", file));
    let base = base.strip_suffix(".drv").unwrap_or(base);
    let name = match base.split_once('-') {
        Some((hash, name)) if hash.len() == 32 => name,
        _ => base,
    };
    let directory = if directory.starts_with('/') { directory } else { "/nix/store" };
    (directory, name.to_owned())
}

fn refused(file: &str, error: &Error) -> Problem {
    malformed(file, &error.to_string())
}

fn malformed(file: &str, why: &str) -> Problem {
    Problem::new("drv/malformed", format!("`{file}` is not a derivation: {why}"))
        .help("is the file complete? `nix-store --query --deriver` and `nix-instantiate` name good ones")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    const FILE: &str = "/nix/store/0c0bqmjlmmmgjpzv0gs6sqbcbqi0xlk8-demo.drv";
    const TEXT: &str = concat!(
        r#"Derive([("out","/nix/store/1rz4g4znpzjwh1xymhjpm42vipw92pr7-demo","","")],"#,
        r#"[("/nix/store/0c0bqmjlmmmgjpzv0gs6sqbcbqi0xlk8-dep.drv",["dev","out"])],"#,
        r#"["/nix/store/1rz4g4znpzjwh1xymhjpm42vipw92pr7-source"],"x86_64-linux","/bin/sh","#,
        r#"["-e","/b.sh"],[("a","x\n\"y\"\\"),("name","demo")])"#
    );

    #[test]
    fn reads_every_part() {
        let drv = parse(TEXT.as_bytes(), FILE).expect("parses");
        assert_eq!(drv.name, "demo");
        assert_eq!(drv.system, "x86_64-linux");
        assert_eq!(drv.builder, "/bin/sh");
        assert_eq!(drv.args, ["-e", "/b.sh"]);
        assert_eq!(drv.env["a"], "x\n\"y\"\\");
        assert_eq!(drv.input_drvs["/nix/store/0c0bqmjlmmmgjpzv0gs6sqbcbqi0xlk8-dep.drv"], ["dev", "out"]);
        assert_eq!(drv.input_srcs, ["/nix/store/1rz4g4znpzjwh1xymhjpm42vipw92pr7-source"]);
        assert!(!drv.is_fixed_output());
        assert_eq!(drv.structured, None);
    }

    #[test]
    fn structured_attributes_are_json() {
        let text = TEXT.replace(r#"("a","#, r#"("__json","{\"k\":[1,true]}"),("a","#);
        let drv = parse(text.as_bytes(), FILE).expect("parses");
        assert_eq!(drv.structured, Some(serde_json::json!({"k": [1, true]})));
        assert!(!drv.env.contains_key("__json"));
    }

    #[test]
    fn another_store_directory_is_taken_from_the_path() {
        let text = TEXT.replace("/nix/store", "/other/store");
        let file = FILE.replace("/nix/store", "/other/store");
        assert!(parse(text.as_bytes(), &file).is_ok());
    }

    #[test]
    fn malformed_files_are_problems() {
        for (bytes, code) in [
            (b"".to_vec(), "drv/malformed"),
            (TEXT.as_bytes()[..200].to_vec(), "drv/malformed"),
            (format!("{TEXT}x").into_bytes(), "drv/malformed"),
            (TEXT.replace("demo\")]", "d\0\")]").into_bytes(), "drv/value"),
        ] {
            assert_eq!(parse(&bytes, FILE).expect_err("refused").code, code);
        }
        let mut bytes = TEXT.as_bytes().to_vec();
        let at = TEXT.find("x\\n").expect("value");
        bytes[at] = 0xff;
        assert_eq!(parse(&bytes, FILE).expect_err("refused").code, "drv/value");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            at in 0usize..TEXT.len(), cut in 0usize..40,
            insert in proptest::collection::vec(any::<u8>(), 0..20), file in "\\PC{0,40}",
        ) {
            let mut bytes = TEXT.as_bytes().to_vec();
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, insert);
            let _ = parse(&bytes, FILE);
            let _ = parse(&bytes, &file);
        }
    }
}
