//! What a file is written in, and how it is run.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Shell,
    Dash,
    Make,
    Python,
    Perl,
    Awk,
    C,
    Node,
    Tcl,
    Jq,
    Cmake,
    M4,
    Sed,
    Ninja,
    Ruby,
    Lua,
    Php,
    Go,
    Rust,
}

/// How a language is used.
pub struct Use {
    /// The program in `/usr/bin` without which it cannot be tried.
    pub program: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// The command; `FILE` is the file.
    pub command: &'static str,
    /// What begins a comment.
    pub comment: &'static str,
    /// The rest of a file all of whose lines are comments.
    pub empty: &'static str,
}

const fn with(
    program: &'static str,
    file: &'static str,
    command: &'static str,
    comment: &'static str,
    empty: &'static str,
) -> Use {
    Use { program, file, command, comment, empty }
}

impl Language {
    pub const fn how(self) -> Use {
        match self {
            Self::Shell => with("bash", "read.sh", "bash FILE", "# ", ":\n"),
            Self::Dash => with("sh", "read.sh", "sh FILE", "# ", ":\n"),
            Self::Make => with("make", "read.mk", "make -s -f FILE", "# ", "all:\n"),
            Self::Python => with("python3", "read.py", "python3 FILE", "# ", ""),
            Self::Perl => with("perl", "read.pl", "perl FILE", "# ", ""),
            Self::Awk => with("awk", "read.awk", "awk -f FILE", "# ", "BEGIN { }\n"),
            Self::C => with("gcc", "read.c", "gcc -o reader FILE && ./reader", "// ", "int main(void) { return 0; }\n"),
            Self::Node => with("node", "read.js", "node FILE", "// ", ""),
            Self::Tcl => with("tclsh", "read.tcl", "tclsh FILE", "# ", ""),
            Self::Jq => with("jq", "read.jq", "jq -nr -f FILE", "# ", "0\n"),
            Self::Cmake => with("cmake", "read.cmake", "cmake -P FILE", "# ", ""),
            Self::M4 => with("m4", "read.m4", "m4 FILE", "dnl ", ""),
            Self::Sed => with("sed", "read.sed", "echo | sed -f FILE", "# ", ""),
            Self::Ninja => with("ninja", "read.ninja", "ninja --quiet -f FILE", "# ", ""),
            Self::Ruby => with("ruby", "read.rb", "ruby FILE", "# ", ""),
            Self::Lua => with("lua", "read.lua", "lua FILE", "-- ", ""),
            Self::Php => with("php", "read.php", "php FILE", "// ", ""),
            Self::Go => {
                with("go", "read.go", "HOME=$NIX_BUILD_TOP go run FILE", "// ", "package main\nfunc main() { }\n")
            }
            Self::Rust => with("rustc", "read.rs", "rustc -o reader FILE && ./reader", "// ", "fn main() { }\n"),
        }
    }
}
