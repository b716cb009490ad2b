//! The texts that read or set a variable: the first half of a way to read (where it is, is `place`).
//!
//! Owns the table. In a text `NAME` is the variable, `HEAD` and `TAIL` are its two halves, for a name that is put together
//! while the text runs. A text prints what it read. A text that fails is not an error.

use super::language::Language::{
    self, Awk, C, Cmake, Dash, Go, Jq, Lua, M4, Make, Ninja, Node, Perl, Php, Python, Ruby, Rust, Sed, Shell, Tcl,
};

/// What a text does with its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Prints the value.
    Reads,
    /// Prints whether the variable exists.
    Exists,
    /// Changes or removes the variable for what runs later in the same shell.
    Sets,
    /// Neither, however suspicious it looks: phasesplit must let it pass.
    Nothing,
}

/// A text, and what it is written in.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    pub name: &'static str,
    pub language: Language,
    pub effect: Effect,
    pub content: &'static str,
    /// A second file beside the text's own: name and content.
    pub beside: Option<(&'static str, &'static str)>,
    /// The name is put together while the text runs, or hidden: no search is expected to see it, and `verify --deep` must.
    pub is_made_up: bool,
    /// Works with structured attributes only.
    pub structured_only: bool,
}

impl Text {
    const fn exists(self) -> Self {
        Self { effect: Effect::Exists, ..self }
    }

    const fn sets(self) -> Self {
        Self { effect: Effect::Sets, ..self }
    }

    const fn nothing(self) -> Self {
        Self { effect: Effect::Nothing, ..self }
    }

    const fn with(self, file: &'static str, content: &'static str) -> Self {
        Self { beside: Some((file, content)), ..self }
    }

    const fn made_up(self) -> Self {
        Self { is_made_up: true, ..self }
    }

    const fn structured(self) -> Self {
        Self { structured_only: true, ..self }
    }

    /// Whether it works in the shell of a phase.
    pub fn is_shell(&self) -> bool {
        SHELL.iter().any(|text| text.name == self.name)
    }

    /// Whether no search is expected to see that it reads this name, and `verify --deep` must: it is put together, or one word
    /// in lower case, which programs are full of, and counts only where it is read by its own name.
    pub fn is_hidden(&self, name: &str) -> bool {
        let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase());
        self.is_made_up || is_word && !self.content.contains("$NAME") && !self.content.contains("${NAME")
    }

    /// Whether the variable's whole name occurs, and not only its halves.
    pub fn is_literal(&self) -> bool {
        self.content.contains("NAME") || self.beside.is_some_and(|(_, content)| content.contains("NAME"))
    }
}

/// A text with the name put in.
pub fn with_name(text: &str, name: &str) -> String {
    let (head, tail) = name.split_at(name.len() / 2);
    text.replace("HEAD", head).replace("TAIL", tail).replace("NAME", name)
}

const fn text(name: &'static str, language: Language, content: &'static str) -> Text {
    Text { name, language, effect: Effect::Reads, content, beside: None, is_made_up: false, structured_only: false }
}

const fn sh(name: &'static str, script: &'static str) -> Text {
    text(name, Shell, script)
}

/// Bash that works anywhere: in a phase, in a hook, in a file.
pub const SHELL: &[Text] = &[
    sh("name", r#"echo "${NAME-none}""#),
    sh("test", r#"if [ -n "${NAME+x}" ]; then echo set; fi"#).exists(),
    sh("here-document", "cat <<END\n$NAME\nEND"),
    sh("indirect", r#"v=HEAD; v=${v}TAIL; echo "${!v-none}""#),
    sh("indirect-plain", r#"v=NAME; echo "${!v-none}""#),
    sh("nameref", r#"v=HEAD; declare -n r=${v}TAIL; echo "${r-none}"; unset -n r"#),
    sh("prefix", r"for v in ${!HEAD@}; do echo $v; done").exists(),
    sh("eval", r#"v=HEAD; eval "echo \"\$${v}TAIL\"""#),
    sh("compgen", r#"compgen -v | grep -x "HEAD""TAIL""#).exists(),
    sh("declare-p", "v=HEAD; declare -p ${v}TAIL"),
    sh("declare-list", r#"declare | grep -a "^HEAD""TAIL=""#),
    sh("set-list", r#"set | grep -a "^HEAD""TAIL=""#),
    sh("export-list", r#"export -p | grep -a "HEAD""TAIL=""#),
    sh("env", r#"env | grep -a "^HEAD""TAIL=""#),
    sh("env-path", r#"/usr/bin/env | grep -a "^HEAD""TAIL=""#),
    sh("env-quoted", r#""env" | grep -a "^HEAD""TAIL=""#),
    sh("env-variable", r#"e=env; $e | grep -a "^HEAD""TAIL=""#),
    sh("env-array", r#"e=(env -0); "${e[@]}" | tr '\0' '\n' | grep -a "^HEAD""TAIL=""#),
    sh("env-after-comment", "# nothing here\nenv | grep -a \"^HEAD\"\"TAIL=\" # WORDS"),
    sh("env-in-message", "echo \"text\n\"; env | grep -a \"^HEAD\"\"TAIL=\"; echo \"more\n\""),
    sh("env-nice", r#"nice env | grep -a "^HEAD""TAIL=""#),
    sh("env-command", r#"command env | grep -a "^HEAD""TAIL=""#),
    sh("env-exec", r#"(exec env) | grep -a "^HEAD""TAIL=""#),
    sh("env-timeout", r#"timeout 60 env | grep -a "^HEAD""TAIL=""#),
    sh("env-assigned", r#"LANG="C C" env | grep -a "^HEAD""TAIL=""#),
    sh("env-xargs", r#"echo | xargs env | grep -a "^HEAD""TAIL=""#),
    sh("env-find", r#"find . -prune -exec env ';' | grep -a "^HEAD""TAIL=""#),
    sh("env-sh-c", r#"sh -c env | grep -a "^HEAD""TAIL=""#),
    sh("env-bash-c", r#"bash -c 'env' | grep -a "^HEAD""TAIL=""#),
    sh("env-sh-stdin", "sh <<'END' | grep -a \"^HEAD\"\"TAIL=\"\nenv\nEND"),
    sh("env-echo-sh", r#"echo env | sh | grep -a "^HEAD""TAIL=""#),
    sh("env-substituted", r#"all=$(env); grep -a "^HEAD""TAIL=" <<<"$all""#),
    sh(
        "env-loop",
        "while IFS== read -r key word; do if [ \"$key\" = \"HEAD\"\"TAIL\" ]; then echo \"$word\"; fi; done < <(env)",
    ),
    sh("env-function", r#"listAll() { env; }; listAll | grep -a "^HEAD""TAIL=""#),
    sh("env-trap", r#"(trap 'env | grep -a "^HEAD""TAIL="' EXIT)"#),
    sh("printenv", r#"printenv | grep -a "^HEAD""TAIL=""#),
    sh("printenv-computed", "v=HEAD; printenv ${v}TAIL"),
    sh("printenv-names", "v=HEAD; printf '%sTAIL\\n' $v | xargs printenv"),
    sh("proc-self", r#"cat /proc/self/environ | tr '\0' '\n' | grep -a "^HEAD""TAIL=""#),
    sh("proc-xargs", "xargs -0 -n 1 -a /proc/self/environ | grep -a '^HEAD''TAIL='"),
    sh("proc-pid", r#"tr '\0' '\n' </proc/$$/environ | grep -a "^HEAD""TAIL=""#),
    sh("proc-cat", r#"(cd /proc/self && cat environ) | tr '\0' '\n' | grep -a "^HEAD""TAIL=""#),
    sh("proc-pattern", r#"cat /proc/self/envir* | tr '\0' '\n' | grep -a "^HEAD""TAIL=""#),
    sh(
        "proc-mapfile",
        r#"mapfile -d '' -t all </proc/self/environ; printf '%s\n' "${all[@]}" | grep -a "^HEAD""TAIL=""#,
    ),
    sh("ps", r#"ps eww -p $$ | grep -ao "HEAD""TAIL=[^ ]* *[^ ]*""#),
    sh("env-vars", r#"grep -a "HEAD""TAIL=" "$NIX_BUILD_TOP/env-vars""#),
    sh("envsubst", r"printf '$HEAD''TAIL\n' | envsubst"),
    sh("python-list", r#"python3 -c 'import os; print([v for k, v in os.environ.items() if k == "HEAD" + "TAIL"])'"#),
    sh("perl-list", r#"perl -e 'for (keys %ENV) { print "$ENV{$_}\n" if $_ eq "HEAD" . "TAIL" }'"#),
    sh("awk-list", r#"awk 'BEGIN { for (k in ENVIRON) if (k == "HEAD" "TAIL") print ENVIRON[k] }'"#),
    sh("jq-list", r#"jq -nr '$ENV["HEAD" + "TAIL"]'"#),
    sh("jq-env", r#"jq -nr 'env | to_entries[] | select(.key == "HEAD" + "TAIL").value'"#),
    sh("make-stdin", "printf 'all:;@echo \"$($(X)TAIL)\"\\n' | make -s -f - X=HEAD").made_up(),
    sh("sed-runs", r#"echo | sed "1e env" | grep -a "^HEAD""TAIL=""#),
    sh("source-made", "(echo 'echo \"${NAME-none}\"' >made.sh; . ./made.sh; rm made.sh)"),
    sh("source-process", r#". <(v=HEAD; echo "echo \"\$${v}TAIL\"")"#),
    sh("decoded", "echo ZW52Cg== | base64 -d | sh | grep -a \"^HEAD\"\"TAIL=\"").made_up(),
    sh(
        "json-python",
        r#"python3 -c 'import json, os; print(json.load(open(os.environ["NIX_ATTRS_JSON_FILE"]))["HEAD" + "TAIL"])'"#,
    )
    .structured(),
    sh("json-jq", r#"jq -c '.["HEAD" + "TAIL"]' "$NIX_ATTRS_JSON_FILE""#).structured(),
    sh("json-jq-name", r#"jq -c .NAME "$NIX_ATTRS_JSON_FILE""#).structured(),
    sh("json-grep", r#"grep -ao '"HEAD''TAIL":[^:]*' "$NIX_ATTRS_JSON_FILE""#).structured(),
    sh("json-top", r#"jq -c '.["HEAD" + "TAIL"]' "$NIX_BUILD_TOP/.attrs.json""#).structured(),
    sh("attributes-sourced", r#"(. "$NIX_ATTRS_SH_FILE"; v=HEAD; v=${v}TAIL; echo "${!v}")"#).structured(),
    sh("attributes-grep", r#"grep -a "HEAD""TAIL" "$NIX_ATTRS_SH_FILE""#).structured(),
    sh("unset", "unset NAME").sets(),
    sh("unset-computed", "v=HEAD; unset ${v}TAIL").sets(),
    sh("assign", "NAME=true").sets(),
    sh("export", "export NAME=true").sets(),
    sh("printf-v", "v=HEAD; printf -v ${v}TAIL %s true").sets(),
    sh("read-into", "v=HEAD; read -r ${v}TAIL <<<true").sets(),
    sh("declare-global", r#"v=HEAD; declare -g "${v}TAIL=true""#).sets(),
    sh("mapfile-into", "v=HEAD; mapfile -t ${v}TAIL <<<true").sets(),
    sh("eval-assign", r#"v=HEAD; eval "${v}TAIL=true""#).sets(),
    sh("message", r#"echo "run env, and read the word NAME in it""#).nothing(),
    sh("comment", "# env | grep NAME\necho done # printenv NAME").nothing(),
    sh("env-runs", "env LANG=C true; env -i true; command -v env >/dev/null").nothing(),
    sh("set-option", "set +x; set -- one two; declare -i readCount=0; export -f 2>/dev/null || true").nothing(),
    sh("own-variable", "word=one; echo \"$word\"; unset word").nothing(),
    sh("quoted-document", "cat >notes <<'END'\nenv | grep $NAME\nEND\nrm notes").nothing(),
    sh("keys", r#"declare -A seen=([one]=1); echo "${!seen[@]}""#).nothing(),
];

/// Files that only make sense in the source, in every language that the test machine may have.
pub const PROGRAMS: &[Text] = &[
    text("sh-name", Dash, r#"echo "$NAME""#),
    text("sh-env", Dash, r#"env | grep -a "^HEAD""TAIL=""#),
    text("sh-set", Dash, r#"set | grep -a "^HEAD""TAIL=""#),
    sh("sh-sources", ". ./more.sh").with("more.sh", r#"echo "$NAME""#),
    sh("sh-list", r#"while read -r v; do printenv "$v"; done <names.txt"#).with("names.txt", "NAME\n"),
    sh("sh-list-indirect", r#"for v in $(cat names.txt); do echo "${!v}"; done"#).with("names.txt", "NAME\n"),
    sh("sh-log", "set >config.log; env >>config.log; rm config.log").nothing(),
    text("make-name", Make, "all:\n\t@echo '$(NAME)'"),
    text("make-shell", Make, "all:\n\t@echo \"$$NAME\""),
    text("make-value", Make, "all:\n\t@echo '$(value NAME)'"),
    text("make-flavor", Make, "all:\n\t@echo '$(flavor NAME)'").exists(),
    text("make-origin", Make, "all:\n\t@echo '$(origin NAME)'").exists(),
    text("make-variables", Make, "all:\n\t@echo '$(filter HEAD%,$(.VARIABLES))'").exists(),
    text("make-walk", Make, "all:\n\t@echo '$(foreach v,$(filter HEAD%,$(.VARIABLES)),$($(v)))'"),
    text("make-computed", Make, "D = HEAD\nall:\n\t@echo '$(${D}TAIL)'").made_up(),
    text("make-foreach", Make, "all:\n\t@echo '$(foreach v,PATH_ NAME,$($(v)))'"),
    text("make-ifdef", Make, "ifdef NAME\nWORD = is set\nendif\nall:\n\t@echo '$(WORD)'").exists(),
    text("make-ifneq", Make, "ifneq ($(NAME),)\nWORD = is set\nendif\nall:\n\t@echo '$(WORD)'").exists(),
    text("make-recursive", Make, "all:\n\t@$(MAKE) -s -f more.mk").with("more.mk", "all:\n\t@echo '$(NAME)'\n"),
    text("make-include", Make, "include more.mk\nall:\n\t@echo '$(WORDS)'").with("more.mk", "WORDS = $(value NAME)\n"),
    text("make-env", Make, "all:\n\t@env | grep -a '^HEAD''TAIL='"),
    text("make-shell-function", Make, "WORD := $(shell env | grep -a '^HEAD''TAIL=')\nall:\n\t@echo '$(WORD)'"),
    text("make-call", Make, "get = $($(1))\nall:\n\t@echo '$(call get,NAME)'"),
    text("make-foo", Make, "CFLAGS = one\nall:\n\t@echo '$(CFLAGS) $(OWN_WORDS)' # NAME").nothing(),
    text("python-index", Python, "import os\nprint(os.environ[\"NAME\"])"),
    text("python-get", Python, "import os\nprint(os.environ.get('NAME', 'none'))"),
    text("python-next-line", Python, "import os\nprint(os.environ.get(\n    \"NAME\",\n    \"none\",\n))"),
    text("python-tuple", Python, "import os\nWANTED = (\"NAME\", \"buildNumber\")\nfor name in WANTED:\n    print(os.environ.get(name, \"none\"))"),
    text("python-items", Python, "import os\nfor key, value in os.environ.items():\n    if key.startswith(\"HEAD\"):\n        print(value)"),
    text("python-getenv", Python, "from os import getenv\nprint(getenv(\"NAME\"))"),
    text("python-computed", Python, "import os\nwhat = \"TAIL\"\nprint(os.environ.get(f\"HEAD{what}\"))").made_up(),
    text("python-renamed", Python, "from os import environ as e\nprint(e[\"NAME\"])"),
    text("python-bytes", Python, "import os\nprint(os.environb[b\"NAME\"])"),
    text("python-expand", Python, "import os.path\nprint(os.path.expandvars(\"$NAME\"))"),
    text("python-child", Python, "import subprocess\nprint(subprocess.check_output([\"printenv\", \"NAME\"]))"),
    text("python-system", Python, "import os\nos.system(\"env | grep -a '^HEAD''TAIL='\")"),
    text("python-copy", Python, "import os\nsettings = dict(os.environ)\nprint(settings[\"HEAD\" + \"TAIL\"])").made_up(),
    text("python-proc", Python, "for line in open(\"/proc/self/environ\").read().split(\"\\0\"):\n    if line.startswith(\"HEAD\" + \"TAIL=\"):\n        print(line)"),
    text("python-imports", Python, "from wanted import WANTED\nimport os\nprint([os.environ.get(name) for name in WANTED])").with("wanted.py", "WANTED = [\"NAME\"]\n"),
    text("python-word", Python, "# NAME is a word here\nprint(\"NAME\")").nothing(),
    text("python-json", Python, "import json, os\nattributes = json.load(open(os.environ[\"NIX_ATTRS_JSON_FILE\"]))\nprint(attributes.get(\"NAME\"))").structured(),
    text("python-json-all", Python, "import json, os\nattributes = json.load(open(os.environ[\"NIX_ATTRS_JSON_FILE\"]))\nprint([v for k, v in attributes.items() if k.startswith(\"HEAD\")])").structured(),
    text("perl-name", Perl, "print $ENV{NAME}, \"\\n\";"),
    text("perl-quoted", Perl, "print $ENV{'NAME'}, \"\\n\";"),
    text("perl-slice", Perl, "my ($word, $other) = @ENV{qw(NAME buildNumber)};\nprint \"$word\\n\";"),
    text("perl-computed", Perl, "print $ENV{\"HEAD\" . \"TAIL\"}, \"\\n\";").made_up(),
    text("perl-walk", Perl, "while (my ($k, $v) = each %ENV) { print \"$v\\n\" if $k =~ /^HEAD/ }"),
    text("perl-env-module", Perl, "use Env qw(NAME);\nprint \"$NAME\\n\";"),
    text("perl-names", Perl, "my @wanted = qw(\n    NAME\n);\nprint map { \"$ENV{$_}\\n\" } @wanted;"),
    text("perl-system", Perl, "system('echo \"$NAME\"');"),
    text("perl-reference", Perl, "my $all = \\%ENV;\nprint $all->{'NAME'}, \"\\n\";"),
    text("awk-name", Awk, "BEGIN { print ENVIRON[\"NAME\"] }"),
    text("awk-walk", Awk, "BEGIN { for (k in ENVIRON) if (k ~ /^HEAD/) print ENVIRON[k] }"),
    text("awk-split", Awk, "BEGIN { n = split(\"NAME buildNumber\", wanted, \" \"); for (i = 1; i <= n; i++) print ENVIRON[wanted[i]] }"),
    text("awk-child", Awk, "BEGIN { \"echo \\\"$NAME\\\"\" | getline line; print line }"),
    text("c-getenv", C, "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"NAME\")); }"),
    text("c-constant", C, "#include <stdio.h>\n#include <stdlib.h>\n#define WORDS \"NAME\"\nint main(void) { puts(getenv(WORDS)); }"),
    text("c-header", C, "#include <stdio.h>\n#include <stdlib.h>\n#include \"words.h\"\nint main(void) { puts(getenv(WORDS)); }").with("words.h", "#define WORDS \"NAME\"\n"),
    text("c-text-of", C, "#include <stdio.h>\n#include <stdlib.h>\n#define TEXT(x) #x\nint main(void) { puts(getenv(TEXT(NAME))); }"),
    text("c-beside", C, "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"HEAD\" \"TAIL\")); }").made_up(),
    text("c-table", C, "#include <stdio.h>\n#include <stdlib.h>\nstatic const char *wanted[] = {\n    \"NAME\",\n};\nint main(void) { puts(getenv(wanted[0])); }"),
    text("c-computed", C, "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) { char n[99] = \"HEAD\"; puts(getenv(strcat(n, \"TAIL\"))); }").made_up(),
    text("c-environ", C, "#include <stdio.h>\n#include <string.h>\nextern char **environ;\nint main(void) { for (char **e = environ; *e; e++) if (!strncmp(*e, \"HEAD\" \"TAIL=\", sizeof \"HEAD\" \"TAIL\")) puts(*e); }"),
    text("c-third-argument", C, "#include <stdio.h>\n#include <string.h>\nint main(int c, char **v, char **e) { for (; *e; e++) if (!strncmp(*e, \"HEAD\" \"TAIL=\", sizeof \"HEAD\" \"TAIL\")) puts(*e); }"),
    text("c-system", C, "#include <stdlib.h>\nint main(void) { return system(\"echo \\\"$NAME\\\"\"); }"),
    text("c-word", C, "#include <stdio.h>\n/* NAME */\nint main(void) { puts(\"NAME\"); }").nothing(),
    text("node-name", Node, "console.log(process.env.NAME)"),
    text("node-destructured", Node, "const {\n  NAME,\n} = process.env;\nconsole.log(NAME)"),
    text("node-walk", Node, "for (const [k, v] of Object.entries(process.env)) if (k.startsWith('HEAD')) console.log(v)"),
    text("node-computed", Node, "console.log(process.env[`HEAD${'TAIL'}`])").made_up(),
    text("node-child", Node, "console.log(require('child_process').execSync('printenv NAME').toString())"),
    text("tcl-name", Tcl, "puts $env(NAME)"),
    text("tcl-quoted", Tcl, "puts $::env([join {HEAD TAIL} {}])").made_up(),
    text("tcl-walk", Tcl, "foreach {k v} [array get env HEAD*] { puts $v }"),
    text("jq-name", Jq, "env.NAME"),
    text("jq-variable", Jq, "$ENV.NAME"),
    text("jq-walk", Jq, "env | to_entries[] | select(.key | startswith(\"HEAD\")).value"),
    text("cmake-name", Cmake, "message(STATUS \"$ENV{NAME}\")\nfile(WRITE words.txt \"$ENV{NAME}\")\nexecute_process(COMMAND cat words.txt)"),
    text("cmake-computed", Cmake, "set(what TAIL)\nexecute_process(COMMAND echo \"$ENV{HEAD${what}}\")").made_up(),
    text("cmake-child", Cmake, "execute_process(COMMAND env COMMAND grep -a \"^HEAD[T]*\")"),
    text("m4-child", M4, "syscmd(`echo \"$NAME\"')"),
    text("sed-child", Sed, "1e echo \"$NAME\""),
    text("ninja-child", Ninja, "rule read\n  command = echo \"$$NAME\"\nbuild it: read\n"),
    text("ruby-name", Ruby, "puts ENV['NAME']"),
    text("ruby-values", Ruby, "puts ENV.values_at(\n  'NAME'\n)"),
    text("ruby-walk", Ruby, "ENV.each { |k, v| puts v if k.start_with?('HEAD') }"),
    text("lua-name", Lua, "print(os.getenv('NAME'))"),
    text("lua-table", Lua, "for _, name in ipairs({ 'NAME' }) do print(os.getenv(name)) end"),
    text("php-name", Php, "<?php echo getenv('NAME');"),
    text("go-name", Go, "package main\nimport \"os\"\nfunc main() { println(os.Getenv(\"NAME\")) }"),
    text("rust-name", Rust, "fn main() { println!(\"{:?}\", std::env::var(\"NAME\")); }"),
];

/// What a builder script does that only wraps a phase's hook: it must be let pass (`Place::BuilderWraps`).
pub const WRAPS: &[Text] = &[sh("wraps", "echo wrapped").nothing()];

/// What is tried in the places that few people think of.
pub const EVERYWHERE: &[&str] = &["name", "env", "python-list", "json-python", "printenv-computed", "message"];

/// What is tried where a file is sourced by the shell of a phase or hook, beside `EVERYWHERE`.
pub const SOURCED: &[&str] = &["unset", "assign", "unset-computed", "indirect"];

/// Programs that are also tried in the store, behind a link, in an archive and from a hook.
pub const ELSEWHERE: &[&str] = &["make-value", "python-tuple", "c-constant", "perl-slice", "awk-name"];
