//! The ways a script reads or sets a variable.
//!
//! Owns the list. Each is a line of bash that leaves what it read in `trace` (see trace.nix); `NAME` stands for the variable.

/// Where a line leaves its words.
const NOTE: &str = r#">>"$NIX_BUILD_TOP/trace""#;

/// A way: its name and its text.
pub struct Way {
    pub name: &'static str,
    text: &'static str,
}

impl Way {
    /// The line, for the variable `name`.
    pub fn line(&self, name: &str) -> String {
        let (head, tail) = name.split_at(name.len() / 2);
        format!(
            "{}\n",
            self.text.replace("NOTE", NOTE).replace("HEAD", head).replace("TAIL", tail).replace("NAME", name)
        )
    }
}

const fn way(name: &'static str, text: &'static str) -> Way {
    Way { name, text }
}

/// All of them. HEAD and TAIL are the two halves of the name, for names put together while the script runs.
pub const WAYS: &[Way] = &[
    way("plain", r#"echo "${NAME-unset}" NOTE"#),
    way("test", "if [[ -n ${NAME:-} ]]; then echo set; else echo unset; fi NOTE"),
    way("indirect", r#"v=NAME; echo "${!v-unset}" NOTE"#),
    way("computed", r#"v=HEAD; v+=TAIL; echo "${!v-unset}" NOTE"#),
    way("reference", r#"v=HEAD; declare -n r=${v}TAIL; echo "${r-unset}" NOTE; unset -n r"#),
    way("printenv", "v=HEAD; printenv ${v}TAIL NOTE || echo unset NOTE"),
    way("env", r#"env | grep -c "^HEAD""TAIL=" NOTE || true"#),
    way("eval", r#"v=HEAD; eval "echo \"\${${v}TAIL-unset}\"" NOTE"#),
    way("child", r#"bash -c 'echo "${NAME-unset}"' NOTE"#),
    way("awk", r#"awk 'BEGIN { print ENVIRON["NAME"] }' NOTE"#),
    way("sourced", r#"echo 'echo "${NAME-unset}"' >read.sh; source ./read.sh NOTE; rm read.sh"#),
    way(
        "substitute-all",
        "echo '@NAME@' >read.in; substituteAll read.in read.out; cat read.out NOTE; rm read.in read.out",
    ),
    way("declared", "v=HEAD; declare -p ${v}TAIL &>/dev/null && echo set NOTE || echo unset NOTE"),
    way("compgen", "v=HEAD; compgen -v ${v}TAIL NOTE || echo unset NOTE"),
    way("listing", r#"set | grep -c "^HEAD""TAIL=" NOTE || true"#),
    way("function", r#"readIt() { echo "${NAME-unset}" NOTE; }; readIt"#),
    way("default", r#": "${NAME:=chosen}"; echo "$NAME" NOTE"#),
    way("here-document", "cat NOTE <<END\n${NAME-unset}\nEND"),
    way("helper", r#"concatTo readFlags NAME; echo "${readFlags[*]-}" NOTE"#),
    way("flag-test", "[[ -v NAME ]] && echo set NOTE || echo unset NOTE"),
    way("append", "appendToVar NAME added"),
    way("assign", "export NAME=assigned"),
    way("unset", "unset NAME"),
    way("printf", "v=HEAD; printf -v ${v}TAIL %s printed"),
    way("read", r#"v=HEAD; read -r ${v}TAIL <<<"was read""#),
    way("nested", r#"echo "$(echo "${NAME+is set}")" NOTE"#),
    way("arithmetic", r#"echo "$((${#NAME} > 0))" NOTE"#),
    way("export-listing", r#"export -p | grep -c " HEAD""TAIL=" NOTE || true"#),
    way("declare-listing", r#"declare | grep -c "^HEAD""TAIL=" NOTE || true"#),
    way("prefix", "for v in ${!HEAD@}; do echo $v NOTE; done"),
    way("perl", r#"perl -e 'print $ENV{"NAME"} // "unset", "\n"' NOTE"#),
    way("python", r#"python3 -c 'import os; print(os.environ.get("NAME"))' NOTE"#),
    way("proc", "tr '\\0' '\\n' </proc/self/environ | grep -c ^HEAD''TAIL= NOTE || true"),
    way("loop", "for NAME in one two; do :; done"),
    way("mapfile", "mapfile -t NAME <<<lines"),
    way("compute", "let NAME=1+1"),
    way("quoted", r#"echo "${NAME@Q}" NOTE"#),
    way("trap", r#"trap 'echo "${NAME-unset}" NOTE' USR1; kill -USR1 $BASHPID; trap - USR1"#),
    way("define", "NAME() { echo defined NOTE; }"),
    way("make", "printf 'all:\\n\\t@echo \"$(NAME)\"\\n' >read.mk; make -s -f read.mk all NOTE; rm read.mk"),
];
