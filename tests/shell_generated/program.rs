//! Programs for a shell, drawn from everything that a shell can hold.

use std::fmt::{self, Write as _};

/// A small generator of numbers (splitmix64): the same seed gives the same programs.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Names of the package: plain ones, ones that begin like bash's own, ones that bash gives a meaning, search paths, hooks.
const NAMES: &[&str] = &[
    "v",
    "w",
    "MODE",
    "x_1",
    "_y",
    "BASH_COMPLETION_DIR",
    "BASH_ENV",
    "BASHLIKE",
    "COMP_LEVEL",
    "COMP_CWORD",
    "READLINE_PREFIX",
    "RANDOMIZED",
    "SECONDS_LEFT",
    "IFSX",
    "REPLY",
    "OPTIND",
    "OPTERR",
    "MAPFILE",
    "COPROC",
    "HISTFILE",
    "HOSTNAME",
    "TIMEFORMAT",
    "PROMPT_COMMAND",
    "MANPATH",
    "NIX_LDFLAGS",
    "preHooks",
    "ENV",
    "TMPDIR",
    "COLUMNSX",
    "LC_OTHER",
    "each",
    "name",
    "text",
    "index",
    "line",
    "flags",
    "IFS_SAVED",
];

const VALUES: &[&str] = &[
    "",
    "1",
    "abc",
    "'two words'",
    "$'line\\nline'",
    "$'\\001\\177\\e'",
    "$'\\xff\\xc3\\x28'",
    "'$(touch /tmp/never) `x` \"q\" \\\\'",
    "'*'",
    "\"it's\"",
    "$'\\u00e4'",
    "'declare -x FALSE=1'",
    "$'\\ndeclare -x FALSE=1\\n'",
    "007",
    "'~'",
    "=",
    "'a=b'",
    "'!'",
    "$'tail\\n\\n'",
    "'[x]'",
    "/some/path",
    "ÄÖ",
];

/// Statements in which `@n`, `@m` are names, `@v`, `@u` values, `@f` a function's name.
const STATEMENTS: &[&str] = &[
    // Variables: every attribute, with a value and without.
    "@n=@v",
    "@n+=@v",
    "export @n",
    "export @n=@v",
    "declare -gx @n",
    "declare -g @n",
    "declare -gi @n",
    "declare -gi @n=41+1",
    "declare -gl @n",
    "declare -gu @n",
    "declare -gc @n",
    "declare -gl @n=@v",
    "declare -gu @n=@v",
    "declare -gc @n=@v",
    "@n=abC; declare -gu @n",
    "@n=abC; declare -gl @n",
    "@n=x+y; declare -gi @n",
    "declare -gr @n",
    "declare -gr @n=@v",
    "readonly @n",
    "declare -ga @n",
    "declare -gA @n",
    "declare -gax @n",
    "declare -gAx @n",
    "declare -gai @n",
    "declare -gAu @n",
    "declare -gir @n",
    "declare -gxr @n",
    "unset -v @n; declare -ga @n=(@v @u '' @v)",
    "unset -v @n; declare -ga @n=([3]=@v [10]=@u)",
    "unset -v @n; declare -gA @n=([k]=@v ['a b']=@u ['@']=1 ['*']=2 [']']=3 ['$x']=4)",
    "unset -v @n; declare -gA @n=([$'\\n']=@v)",
    "unset -v @n; @n=(); readonly -a @n",
    "unset -v @n; @n=(1 2 3); unset '@n[1]'",
    "unset -v @n; declare -gai @n=(1+1 2)",
    "unset -v @n; declare -gn @n=@m",
    "declare -gn r1=@n",
    "declare -gn r2",
    "declare -gn r3=r4; declare -gn r4=r3",
    "declare -gn r5='arr[1]'; arr=(1 2)",
    "unset -n r1",
    "unset -v @n",
    "export -n @n",
    "declare -g +x @n",
    "PATH=$PATH:/behind",
    "PATH=/before:$PATH",
    "MANPATH=/m:${MANPATH-}",
    "preHooks+=('echo a' two)",
    "HOME=@v",
    "[[ abc =~ (b)(c) ]] || true",
    "read -r REPLY <<<x",
    "mapfile -t MAPFILE <<<$'a\\nb'",
    "coproc true; wait $! || true; unset COPROC_PID",
    // Variables that bash computes or obeys.
    "SECONDS=5000",
    "unset SECONDS",
    "unset SECONDS; SECONDS=@v",
    "RANDOM=42 seeded=1",
    "RANDOM=7 seeded=1; : $RANDOM $RANDOM",
    "unset RANDOM seeded",
    "unset EPOCHSECONDS",
    "unset EPOCHREALTIME",
    "unset LINENO",
    "unset SRANDOM",
    "IFS=:",
    "IFS=",
    "unset IFS",
    "IFS=x",
    "IFS=abcdefghijklmnopqrstuvwxyz",
    "IFS=0123456789",
    "IFS=' '",
    "IFS=_-/",
    "IFS=$'\\n'",
    "export IFS",
    "IFS='\"'",
    "GLOBIGNORE='*.o'",
    "GLOBIGNORE=x; shopt -u dotglob",
    "unset GLOBIGNORE",
    "POSIXLY_CORRECT=1",
    "export POSIXLY_CORRECT=@v",
    "unset POSIXLY_CORRECT",
    "POSIXLY_CORRECT=y; shopt -u expand_aliases",
    "FUNCNEST=30",
    "FUNCNEST=0",
    "BASH_COMPAT=4.4",
    "BASH_COMPAT=5.0",
    "shopt -s compat43",
    "unset BASH_COMPAT",
    "LC_ALL=C",
    "LC_ALL=C.UTF-8",
    "export LC_ALL=C.UTF-8",
    "LANG=C.UTF-8",
    "LC_CTYPE=C.UTF-8",
    "unset LC_ALL",
    "readonly LC_ALL=C",
    "PS4='+$(echo ps4 >/dev/null) '",
    "TMOUT=5",
    "EXECIGNORE='x*'",
    "OLDPWD=@v",
    "unset OLDPWD",
    "PWD=@v",
    "export -n OLDPWD",
    "BASH_XTRACEFD=2",
    "unset _",
    "OPTIND=3",
    "HISTCMD=1",
    // Options.
    "set -f",
    "set -x",
    "set +x",
    "set -v",
    "set -u",
    "set -e",
    "set -C",
    "set -k",
    "set +h",
    "set +B",
    "set -P",
    "set -E",
    "set -T",
    "set -b",
    "set -m",
    "set -o posix",
    "set +o posix",
    "set -o pipefail",
    "set -o nolog",
    "set -o vi",
    "set -o ignoreeof",
    "set -H",
    "set -o history",
    "set -e; set +e",
    "set +o interactive-comments",
    "shopt -s nullglob",
    "shopt -s failglob",
    "shopt -s extglob",
    "shopt -u extglob",
    "shopt -s dotglob",
    "shopt -s globstar",
    "shopt -s nocasematch",
    "shopt -s nocaseglob",
    "shopt -s expand_aliases",
    "shopt -s lastpipe",
    "shopt -s inherit_errexit",
    "shopt -s extdebug",
    "shopt -s xpg_echo",
    "shopt -s cdspell",
    "shopt -s cdable_vars",
    "shopt -s autocd",
    "shopt -u sourcepath",
    "shopt -s execfail",
    "shopt -s checkhash",
    "shopt -s localvar_inherit",
    "shopt -s localvar_unset",
    "shopt -s assoc_expand_once",
    "shopt -s gnu_errfmt",
    "shopt -u promptvars",
    "shopt -u interactive_comments",
    "shopt -s shift_verbose",
    "shopt -u cmdhist",
    "shopt -s huponexit",
    "shopt -u globasciiranges",
    "shopt -u force_fignore",
    "shopt -u checkwinsize",
    "shopt -s histverify",
    // Traps.
    "trap 'echo usr1' USR1",
    "trap 'echo x' RTMIN+2",
    "trap 'echo x' RTMAX-1",
    "trap '' TSTP",
    "trap 'echo \"it'\\''s\"' TTIN TTOU",
    "trap - USR1",
    "trap 'a\nb' HUP",
    "trap '' INT",
    // One on CHLD sees the runtime's own subshells (README, "What the checks cannot see").
    "trap 'echo winch' WINCH",
    "trap ': ÄÖ' TERM",
    "trap ':' SIGPIPE",
    "trap 'echo \"E $?\" >>$LOG' ERR",
    "trap 'echo \"R ${FUNCNAME[0]-}\" >>$LOG' RETURN",
    "trap 'echo \"D $BASH_COMMAND\" >>$LOG' DEBUG",
    "trap - ERR",
    "trap - RETURN",
    "trap - DEBUG",
    "set -E; trap 'echo E >>$LOG' ERR",
    "set -T; trap 'echo R >>$LOG' RETURN",
    "trap 'n=$((${n-0} + 1))' DEBUG",
    // Limits, commands, builtins, masks.
    "ulimit -Sn 99",
    "ulimit -n 120",
    "ulimit -Hn 130",
    "ulimit -Ss 4000",
    "ulimit -s 5000",
    "ulimit -c 0",
    "ulimit -Sc 0",
    "ulimit -Su 3000",
    "ulimit -Sf 100000",
    "ulimit -St 1000",
    "ulimit -Sv 9000000",
    "ulimit -Sx 100",
    "ulimit -Sq 4096",
    "ulimit -Sl 8",
    "ulimit -Si 50",
    "hash -p /nowhere/tool mytool",
    "hash -p ./rel mytool2",
    "hash -p '/a b/c' myother",
    "hash -p /x my-tool; hash -d my-tool",
    "hash -r",
    "enable -n pwd",
    "enable -n test [",
    "enable -n printf",
    "enable -n declare local",
    "enable -n mapfile read",
    "enable -n trap set",
    "enable pwd test",
    "umask 077",
    "umask 0",
    "umask 777",
    "umask 022",
    // Functions and aliases, with names of builtins too.
    "@f() { echo @v; }",
    "@f() { cat <<X\nhere $1\nX\n}",
    "@f() { case $1 in +([0-9])) echo n ;; esac; }; shopt -s extglob",
    "@f() ( exit 3 ) 2>/dev/null",
    "@f() { [[ $1 =~ ^(a|b)$ ]] && echo \"${1@Q}\"; }",
    "@f() { :; }; export -f @f",
    "@f() { :; }; declare -ft @f",
    "f_ro() { :; }; readonly -f f_ro",
    "f_all() { :; }; declare -frtx f_all",
    "unset -f @f",
    "function a-b { echo @v; }",
    "function a:b { :; }",
    "function @x { :; }",
    "function time { :; }",
    "function if { :; }",
    "function [ { builtin [ \"$@\"; }",
    "command_not_found_handle() { echo \"$1\" >>$LOG; return 127; }",
    "printf() { builtin echo called printf >>$LOG; builtin printf \"$@\"; }",
    "declare() { builtin echo called declare >>$LOG; }",
    "local() { builtin echo called local >>$LOG; builtin local \"$@\"; }",
    "cd() { builtin echo called cd >>$LOG; builtin cd \"$@\"; }",
    "trap() { builtin echo called trap >>$LOG; }",
    "eval() { builtin echo called eval >>$LOG; builtin eval \"$@\"; }",
    "source() { builtin echo called source >>$LOG; }",
    "shopt() { builtin echo called shopt >>$LOG; }",
    "set() { builtin echo called set >>$LOG; }",
    "read() { builtin echo called read >>$LOG; }",
    "mapfile() { builtin echo called mapfile >>$LOG; }",
    "unset() { builtin echo called unset >>$LOG; }",
    "export() { builtin echo called export >>$LOG; }",
    "exit() { builtin echo called exit >>$LOG; }",
    "return() { builtin echo called return >>$LOG; }",
    "true() { builtin echo called true >>$LOG; }",
    "enable() { builtin echo called enable >>$LOG; }",
    "umask() { builtin echo called umask >>$LOG; }",
    ":() { builtin echo called colon >>$LOG; }",
    "alias ll='ls -l'",
    "alias a=b c='d\ne'",
    "alias -- -x='y z'",
    "alias printf='echo aliased >>$LOG;' declare=false; shopt -s expand_aliases",
    "alias trap=false set=false; shopt -s expand_aliases",
    "unalias ll 2>/dev/null || :",
    // Directories.
    "cd deep || :",
    "cd .. ",
    "cd deep/er || cd /",
    "pushd / >/dev/null",
    "pushd \"$NIX_BUILD_TOP/deep\" >/dev/null",
    "popd >/dev/null || :",
    "pushd -n /nowhere >/dev/null",
    "mkdir -p lost && cd lost && rmdir ../lost",
    "mkdir -p \"$NIX_BUILD_TOP/gone/two\"; cd \"$NIX_BUILD_TOP/gone/two\"; rm -rf ../../gone",
    "cd -P deep || :",
    "mkdir -p $'odd\\nname'; cd $'odd\\nname'",
    "dirs -c",
    // How a phase ends.
    "false",
    "(exit 3)",
    "false || :",
    "echo out",
    "f_call() { return 4; }; f_call",
    "true",
];

const FUNCTIONS: &[&str] = &["fn1", "fn2", "helper", "my-hook", "x::y", "v"];

/// Names of builtins that the program itself would miss: such statements need a cut right after them, not more of the program.
fn fill(statement: &str, random: &mut Random) -> String {
    let mut text = String::new();
    let (name, other, function) = (random.one(NAMES), random.one(NAMES), random.one(FUNCTIONS));
    let (value, second) = (random.one(VALUES), random.one(VALUES));
    let mut rest = statement;
    while let Some(at) = rest.find('@') {
        text.push_str(&rest[..at]);
        let (insert, length) = match rest[at + 1..].chars().next() {
            Some('n') => (name, 2),
            Some('m') => (other, 2),
            Some('v') => (value, 2),
            Some('u') => (second, 2),
            Some('f') => (function, 2),
            _ => ("@", 1),
        };
        text.push_str(insert);
        rest = &rest[at + length..];
    }
    text + rest
}

/// One of each statement.
pub fn statements() -> Vec<String> {
    let mut random = Random::new(0);
    STATEMENTS.iter().map(|statement| fill(statement, &mut random)).collect()
}

/// A program: phases, and where it is cut.
pub struct Program {
    phases: Vec<String>,
    /// The indices of phases at which stages begin, and the end.
    pub cuts: Vec<usize>,
}

impl Program {
    pub fn generate(random: &mut Random) -> Self {
        let phases: Vec<String> = (0..2 + random.below(4))
            .map(|_| {
                let count = 1 + random.below(5);
                let statements: Vec<String> =
                    (0..count).map(|_| fill(STATEMENTS[random.below(STATEMENTS.len())], random)).collect();
                statements.join("\n")
            })
            .collect();
        // The probe is one phase more.
        let mut cuts: Vec<usize> = (1..=phases.len()).filter(|_| random.below(3) > 0).collect();
        if cuts.is_empty() {
            cuts.push(1 + random.below(phases.len()));
        }
        cuts.insert(0, 0);
        cuts.push(phases.len() + 1);
        Self { phases, cuts }
    }

    /// A program with these phases and cuts.
    pub fn of(phases: &[&str], cuts: &[usize]) -> Self {
        Self { phases: phases.iter().map(|&phase| phase.to_owned()).collect(), cuts: cuts.to_vec() }
    }

    /// The phases' names, and the probe's.
    pub fn names(&self) -> Vec<String> {
        let phases = (0..self.phases.len()).map(|number| format!("phase{number}"));
        phases.chain(["probe".to_owned()]).collect()
    }

    /// What the harness sources.
    pub fn script(&self) -> String {
        let mut text = format!("all=({})\n", self.names().join(" "));
        for (number, phase) in self.phases.iter().enumerate() {
            let _ = writeln!(text, "phase{number}='{}'", phase.replace('\'', "'\\''"));
        }
        text
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}cuts={:?}", self.script(), self.cuts)
    }
}
