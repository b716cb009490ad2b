//! What a container is started with.

use serde_json::{Map, Value, json};

/// What the user says of an image, beside what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The program, and its first arguments; empty for none.
    pub entrypoint: Vec<String>,
    /// The arguments that a user replaces; without an entry point, the program comes first.
    pub command: Vec<String>,
    /// `NAME=VALUE`; the last one of a name counts.
    pub environment: Vec<String>,
    /// The directory that it is started in.
    pub directory: Option<String>,
    /// `USER` or `USER:GROUP`, as numbers where the image has no `/etc/passwd`.
    pub user: Option<String>,
    /// Names and values.
    pub labels: Vec<(String, String)>,
}

impl Config {
    /// As the image's configuration has it.
    pub fn to_json(&self) -> Value {
        let mut config = Map::new();
        for (key, words) in [("Entrypoint", &self.entrypoint), ("Cmd", &self.command)] {
            if !words.is_empty() {
                config.insert(key.to_owned(), json!(words));
            }
        }
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let is_last =
            |at: usize| !self.environment[at + 1..].iter().any(|one| name(one) == name(&self.environment[at]));
        let environment: Vec<&String> =
            self.environment.iter().enumerate().filter(|(at, _)| is_last(*at)).map(|(_, pair)| pair).collect();
        if !environment.is_empty() {
            config.insert("Env".to_owned(), json!(environment));
        }
        for (key, value) in [("WorkingDir", &self.directory), ("User", &self.user)] {
            if let Some(value) = value {
                config.insert(key.to_owned(), json!(value));
            }
        }
        if !self.labels.is_empty() {
            let labels: Map<String, Value> =
                self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            config.insert("Labels".to_owned(), labels.into());
        }
        Value::Object(config)
    }
}

/// The processor as Go, and so an image, calls it: from what Nix and Rust call it.
pub fn architecture(processor: &str) -> &str {
    match processor {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" | "i386" | "i486" | "i586" | "i686" => "386",
        "armv5tel" | "armv6l" | "armv7a" | "armv7l" => "arm",
        "powerpc64le" => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_is_there() {
        assert_eq!(Config::default().to_json(), json!({}));
        let config = Config {
            command: vec!["/bin/a".to_owned()],
            environment: ["PATH=/bin", "A=1", "PATH=/x", "A=b=c"].map(str::to_owned).to_vec(),
            user: Some("1000".to_owned()),
            labels: vec![("a".to_owned(), "b".to_owned())],
            ..Config::default()
        };
        let expected =
            json!({ "Cmd": ["/bin/a"], "Env": ["PATH=/x", "A=b=c"], "User": "1000", "Labels": { "a": "b" } });
        assert_eq!(config.to_json(), expected);
    }
}
