//! The package as an expression in `split.nix`.

use super::escape::{absolute_path, attribute_name, nix_string, relative_path};

/// A place in the file system as `split.nix` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Relative to the directory where split.nix will lie: components, `..` only in front.
    Relative(Vec<String>),
    /// As the user named it.
    Absolute(String),
    /// An object in the Nix store that phasesplit names itself; text, as the engines are.
    Store(String),
}

impl Location {
    /// As a Nix expression that stands where an argument can.
    pub fn expression(&self) -> String {
        match self {
            Self::Relative(components) => relative_path(components),
            Self::Absolute(path) => absolute_path(path),
            Self::Store(path) => nix_string(path),
        }
    }
}

/// How what a file (or an expression) evaluates to becomes the package, or the set that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A function of attributes that the package set has: `pkgs.callPackage ./pkg.nix { }`.
    CallPackage,
    /// A function whose arguments all have defaults: `import ./pkg.nix { }`.
    Defaults,
    /// A function of the package set: `import ./pkg.nix pkgs`.
    WithPkgs,
    /// The value itself: `import ./pkg.nix`.
    Value,
}

/// A package behind a flake reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlakeText {
    /// The flake: a directory, or a reference that Nix resolves (`nixpkgs`, `github:owner/repo`).
    pub flake: FlakeSource,
    /// The attribute path behind the `#`, empty for the default package.
    pub attributes: Vec<String>,
}

/// Where a flake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlakeSource {
    /// In a directory.
    Directory(Location),
    /// Wherever Nix finds this reference.
    Reference(String),
}

/// A derivation as its `.drv` file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrvText {
    /// The store path of the `.drv` file.
    pub path: String,
    /// The names of its outputs; their order is that of `outputs` in the environment.
    pub outputs: Vec<String>,
    /// Nix system.
    pub system: String,
    /// The program that builds it.
    pub builder: String,
    /// The builder's arguments.
    pub arguments: Vec<String>,
    /// The builder's environment.
    pub environment: Vec<(String, String)>,
    /// Its attributes as JSON, where they are structured; the environment then counts for nothing.
    pub structured: Option<String>,
    /// Derivations it needs, each with the outputs it needs of them.
    pub input_derivations: Vec<(String, Vec<String>)>,
    /// Store paths it needs.
    pub input_sources: Vec<String>,
}

/// The package, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Package {
    /// In a file.
    File {
        /// The file.
        file: Location,
        /// What its value is.
        call: Call,
        /// Where in the value the package is, empty where it is the value.
        attributes: Vec<String>,
        /// Whether the file says `<nixpkgs>`, or may import a file that does.
        reads_nixpkgs: bool,
    },
    /// An expression from the command line.
    Expression {
        /// Its text, as given.
        text: String,
        /// What its value is.
        call: Call,
        /// Where in the value the package is, empty where it is the value.
        attributes: Vec<String>,
        /// Whether it says `<nixpkgs>`, or may import a file that does.
        reads_nixpkgs: bool,
    },
    /// Behind a flake reference.
    Flake(FlakeText),
    /// A `.drv` file.
    Drv(DrvText),
}

impl Package {
    /// Whether the expression uses `pkgs`.
    pub(super) fn uses_pkgs(&self) -> bool {
        match self {
            Self::File { call, .. } | Self::Expression { call, .. } => {
                matches!(call, Call::CallPackage | Call::WithPkgs)
            }
            Self::Flake(_) | Self::Drv(_) => false,
        }
    }

    /// Whether it needs a package set; a flake and a `.drv` bring all of theirs.
    pub fn needs_package_set(&self) -> bool {
        self.uses_pkgs() || self.reads_nixpkgs()
    }

    /// Whether `<nixpkgs>` in the package's own text matters.
    pub(super) fn reads_nixpkgs(&self) -> bool {
        match self {
            Self::File { reads_nixpkgs, .. } | Self::Expression { reads_nixpkgs, .. } => *reads_nixpkgs,
            Self::Flake(_) | Self::Drv(_) => false,
        }
    }

    pub(super) fn comment(&self) -> &'static str {
        match self {
            Self::File { .. } => "The package, as its own file has it.",
            Self::Expression { .. } => "The package, as the command line gave it.",
            Self::Flake(_) => "The package, as its flake has it.",
            Self::Drv(_) => {
                "The package, put together again from its .drv file. The strings there name store paths without the \
                 context\n  # that makes them inputs; the builder's context stands for all of it."
            }
        }
    }

    /// The expression, with the space or line that sets it off from `package =`.
    ///
    /// Where `scoped`, `scope` is bound to what `<nixpkgs>` and `import` shall mean in the package's text.
    pub(super) fn expression(&self, scoped: bool) -> String {
        match self {
            Self::File { file, call, attributes, .. } => {
                let path = file.expression();
                let import = if scoped { "builtins.scopedImport scope" } else { "import" };
                let value = match call {
                    // callPackage takes a function as well as a path.
                    Call::CallPackage if scoped => format!("pkgs.callPackage ({import} {path}) {{ }}"),
                    Call::CallPackage => format!("pkgs.callPackage {path} {{ }}"),
                    Call::Defaults => format!("{import} {path} {{ }}"),
                    Call::WithPkgs => format!("{import} {path} pkgs"),
                    Call::Value => format!("{import} {path}"),
                };
                format!(" {}", select(&value, attributes))
            }
            Self::Expression { text, call, attributes, .. } => {
                // On lines of its own: it may end in a comment.
                let whole = if scoped {
                    format!("(\n    let\n      inherit (scope) __nixPath import;\n    in\n{text}\n  )")
                } else {
                    format!("(\n{text}\n  )")
                };
                let value = match call {
                    Call::CallPackage => format!("pkgs.callPackage {whole} {{ }}"),
                    Call::Defaults => format!("{whole} {{ }}"),
                    Call::WithPkgs => format!("{whole} pkgs"),
                    Call::Value => return format!(" {whole}{}", path_of(attributes)),
                };
                format!(" {}", select(&value, attributes))
            }
            Self::Flake(flake) => flake.expression(),
            Self::Drv(drv) => drv.expression(),
        }
    }
}

/// `(value).a.b`
fn select(value: &str, attributes: &[String]) -> String {
    if attributes.is_empty() { value.to_owned() } else { format!("({value}){}", path_of(attributes)) }
}

/// `.a."b c"`
fn path_of(attributes: &[String]) -> String {
    attributes.iter().map(|name| format!(".{}", attribute_name(name))).collect()
}

impl FlakeText {
    /// As `nix build` looks for it: under `packages`, then `legacyPackages`, then as it is written (Nix manual, "nix",
    /// installables).
    fn expression(&self) -> String {
        let flake = match &self.flake {
            FlakeSource::Directory(place) => format!("(toString {})", place.expression()),
            FlakeSource::Reference(reference) => nix_string(reference),
        };
        let path = path_of(&self.attributes);
        let found = if self.attributes.is_empty() {
            "flake.packages.${system}.default or flake.defaultPackage.${system}".to_owned()
        } else {
            format!("flake.packages.${{system}}{path} or flake.legacyPackages.${{system}}{path} or flake{path}")
        };
        format!(
            "\n    let\n      flake = builtins.getFlake {flake};\n      system = builtins.currentSystem;\n    in\n    {found}"
        )
    }
}

impl DrvText {
    fn expression(&self) -> String {
        let mut lines = vec!["    let".to_owned(), "      inputs = {".to_owned()];
        for (path, outputs) in &self.input_derivations {
            lines.push(format!("        {} = {{ outputs = {}; }};", nix_string(path), list(outputs)));
        }
        for path in &self.input_sources {
            lines.push(format!("        {} = {{ path = true; }};", nix_string(path)));
        }
        lines.push("      };".to_owned());
        let (open, close) = match &self.structured {
            Some(json) => {
                lines.push(format!("      attributes = builtins.fromJSON {};", nix_string(json)));
                ("derivation (attributes // {", "});")
            }
            None => ("derivation {", "};"),
        };
        lines.push(format!("      rebuilt = {open}"));
        if self.structured.is_some() {
            lines.push("        __structuredAttrs = true;".to_owned());
        } else {
            for (name, value) in &self.environment {
                match name.as_str() {
                    "builder" | "system" => {}
                    "outputs" => {
                        let outputs: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
                        lines.push(format!("        outputs = {};", list(&outputs)));
                    }
                    name if self.outputs.iter().any(|output| output == name) => {}
                    name => lines.push(format!("        {} = {};", attribute_name(name), text(value))),
                }
            }
        }
        lines.push(format!("        system = {};", nix_string(&self.system)));
        lines.push(format!("        builder = builtins.appendContext {} inputs;", nix_string(&self.builder)));
        lines.push(format!("        args = {};", list(&self.arguments)));
        lines.push(format!("      {close}"));
        lines.push("    in".to_owned());
        lines.push(format!("    if rebuilt.drvPath == {} then", nix_string(&self.path)));
        lines.push("      rebuilt".to_owned());
        lines.push("    else".to_owned());
        lines.push(format!(
            "      throw {}",
            nix_string(&format!(
                "phasesplit: the derivation put together from {} is another one; name the .nix file instead",
                self.path
            ))
        ));
        format!("\n{}", lines.join("\n"))
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "[ ]".to_owned()
    } else {
        format!("[ {} ]", items.iter().map(|item| nix_string(item)).collect::<Vec<_>>().join(" "))
    }
}

/// A script reads better on lines of its own.
fn text(value: &str) -> String {
    if value.contains('\n') { super::nix_indented_string(value, 10) } else { nix_string(value) }
}
