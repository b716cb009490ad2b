use super::*;

fn names(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn search(path: &str, content: &str) -> text::Findings {
    let kind = kind::of(Path::new(path), content.as_bytes());
    in_text(&names("installFlags postInstall tags manifestList"), kind, content.as_bytes(), true)
}

/// All cases are seen to, so that one failure shows the others.
#[track_caller]
fn each(cases: &[(&str, &str)], is_right: impl Fn(&text::Findings) -> bool) {
    let mut wrong = Vec::new();
    for (path, content) in cases {
        let found = search(path, content);
        if !is_right(&found) {
            wrong.push(format!("{path}: {content}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_read(found: &text::Findings) -> bool {
    found.reads.contains("installFlags")
}

#[test]
fn direct_reads_of_many_languages() {
    for text in [
        "echo $installFlags",
        "${installFlags:-x}",
        "${#installFlags}",
        "$(installFlags)",
        "$$installFlags",
        "getenv(\"installFlags\")",
        "getenv ( \"installFlags\" )",
        "ENV['installFlags']",
        "ENV.fetch(\"installFlags\")",
        "os.environ.get(\"installFlags\", 1)",
        "os.environ['installFlags']",
        "os.environ.get(\n    \"installFlags\",\n",
        "std::env::var(\"installFlags\")",
        "option_env!(\"installFlags\")",
        "process.env.installFlags",
        "process.env['installFlags']",
        "$ENV{installFlags}",
        "$ENV{\"installFlags\"}",
        "os.Getenv(`installFlags`)",
        "$::env(installFlags)",
        "ENVIRON[\"installFlags\"]",
        "ifdef installFlags",
        "ifndef\tinstallFlags",
        "$(origin installFlags)",
        "$(value installFlags)",
        "$(flavor installFlags)",
        "printenv installFlags",
        "[ -v installFlags ]",
        "if(DEFINED ENV{installFlags})",
    ] {
        // Of any kind, even in a text for people.
        assert!(is_read(&search("README", text)), "{text}");
    }
    // A plain word is read by its name, too.
    for text in ["$tags", "getenv(\"tags\")", "os.environ.get(\n  'tags')"] {
        assert!(search("a", text).reads.contains("tags"), "{text}");
    }
}

#[test]
fn a_word_in_a_file_that_gets_at_the_environment() {
    let cases = [
        ("a.sh", "for v in installFlags postInstall; do echo \"${!v}\"; done"),
        ("a.sh", "v=installFlags; eval \"echo \\$$v\""),
        ("a.sh", "declare -n ref=installFlags; echo \"$ref\""),
        ("a.sh", "v=installFlags\nprintenv \"$v\" >built"),
        ("a.sh", "declare -p | grep installFlags="),
        ("a.sh", "env | sed -n s/^installFlags=//p"),
        ("gen", "name=installFlags\nenv | grep \"^$name=\""),
        ("Makefile", "V := installFlags\nall:; echo $(value $(V))"),
        ("Makefile", "$(foreach v,installFlags postInstall,$(info $($(v))))"),
        ("Makefile", "all:\n\tenv | grep installFlags > built"),
        ("a.mk", "x := $(filter installFlags,$(.VARIABLES))"),
        ("a.py", "import os\nWANTED = ('installFlags', 'x')\nfor name in WANTED:\n    os.environ.get(name)"),
        ("a.py", "from os import environ\nN = 'installFlags'\nprint(environ[N])"),
        ("a.py", "from os import getenv as g\ng('installFlags')"),
        ("a.pl", "my @n = qw(installFlags postInstall); print @ENV{@n};"),
        ("a.pl", "print join ' ', @ENV{qw(installFlags postInstall)};"),
        ("a.pl", "my $n = 'installFlags'; print $ENV{$n};"),
        ("a.awk", "BEGIN { n = \"installFlags\"; print ENVIRON[n] }"),
        ("a.rb", "%w[installFlags postInstall].each { |n| puts ENV[n] }"),
        ("a.rb", "n = :installFlags.to_s; ENV.fetch(n)"),
        ("a.lua", "local n = 'installFlags'; print(os.getenv(n))"),
        ("a.js", "const n = 'installFlags'; console.log(process.env[n])"),
        ("a.js", "const { installFlags } = process.env"),
        ("a.mjs", "const e = process.env; e['installFlags']"),
        ("a.ts", "const n = \"installFlags\"; Deno.env.get(n)"),
        ("a.go", "const name = \"installFlags\"\nvar v = os.Getenv(name)"),
        ("a.go", "v, ok := os.LookupEnv(key) // \nvar key = \"installFlags\""),
        ("a.go", "os.ExpandEnv(\"x\" + \"installFlags\")"),
        ("a.rs", "const NAME: &str = \"installFlags\"; std::env::var(NAME)"),
        ("build.rs", "for n in [\"installFlags\"] { env::var_os(n); }"),
        ("a.c", "#define V \"installFlags\"\nchar *v = getenv(V);"),
        ("a.c", "#define READ(x) getenv(#x)\nREAD(installFlags)"),
        ("a.c", "static const char *names[] = { \"installFlags\" };\nsecure_getenv(names[0]);"),
        ("a.c", "extern char **environ;\nif (!strncmp(*e, \"installFlags=\", 13))"),
        ("a.c", "int main(int c, char **v, char **envp) { return !!strstr(*envp, \"installFlags\"); }"),
        ("a.cpp", "std::getenv(std::string(\"installFlags\").c_str())"),
        ("CMakeLists.txt", "set(N installFlags)\nmessage($ENV{${N}})"),
        ("meson.build", "n = 'installFlags'\nrun_command('sh', '-c', 'printenv ' + n)"),
        ("a.tcl", "set n installFlags\nputs $env($n)"),
        ("a.java", "String N = \"installFlags\"; System.getenv(N);"),
        ("a.kt", "val n = \"installFlags\"; System.getenv(n)"),
        ("a.scala", "sys.env.get(\"x\"); val n = \"installFlags\""),
        ("a.cs", "var n = \"installFlags\"; Environment.GetEnvironmentVariable(n);"),
        ("a.php", "foreach (['installFlags'] as $n) echo getenv($n);"),
        ("a.php", "$n = 'installFlags'; echo $_ENV[$n];"),
        ("a.ml", "let n = \"installFlags\" in Sys.getenv n"),
        ("a.hs", "n = \"installFlags\"\nmain = lookupEnv n"),
        ("a.erl", "N = \"installFlags\", os:getenv(N)"),
        ("a.ex", "n = \"installFlags\"; System.get_env(n)"),
        ("a.R", "n <- 'installFlags'; Sys.getenv(n)"),
        ("a.scm", "(define n \"installFlags\") (getenv n)"),
        ("a.lisp", "(defvar *n* \"installFlags\") (uiop:getenv *n*)"),
        ("a.el", "(getenv (concat \"\" \"installFlags\"))"),
        ("a.nim", "const n = \"installFlags\"\necho getEnv(n)"),
        ("a.zig", "std.process.getEnvVarOwned(a, \"installFlags\")"),
        ("a.d", "environment.get(\"installFlags\")"),
        ("a.jl", "n = \"installFlags\"; ENV[n]"),
        ("a.swift", "ProcessInfo.processInfo.environment[n] // \"installFlags\""),
        ("a.dart", "var n = 'installFlags'; Platform.environment[n];"),
        ("a.f90", "call get_environment_variable(n, v) ! 'installFlags'"),
        ("SConstruct", "import os\nN = 'installFlags'\nEnvironment(X=os.environ[N])"),
        ("a.sh", "tr '\\0' '\\n' </proc/self/environ | grep installFlags"),
        ("a.sh", "grep installFlags ../env-vars"),
        ("a.qbs", "n = 'installFlags'; Environment.getEnv(n)"),
    ];
    each(&cases, is_read);
}

#[test]
fn a_name_that_is_put_together() {
    let cases = [
        ("a.sh", "a=install b=Flags; c=$a$b; echo ${!c}"),
        ("a.sh", "for p in install build; do eval \"echo \\$${p}Flags\"; done"),
        ("a.py", "import os\nos.environ.get('install' + 'Flags')\nos.environ.get(n)"),
        ("a.py", "import os\nfor p in ('install', 'build'):\n  os.environ.get(f'{p}Flags')\n  os.environ[p]"),
        ("a.py", "import os\nos.environ[n]\n'%sFlags' % 'install'"),
        ("a.js", "process.env[`${p}Flags`]; f('install')"),
        ("a.rb", "ENV[\"#{p}Flags\"]; ENV[x]; p = 'install'"),
        ("a.c", "getenv(n); snprintf(n, 9, \"%sFlags\", \"install\");"),
    ];
    each(&cases, is_read);
    let found = search("Makefile", "D = manifest\nall:; echo $($(D)List) $(${D}List)");
    assert!(found.reads.contains("manifestList"), "{found:?}");
}

#[test]
fn a_list_that_is_picked_from() {
    let cases = [
        ("a.sh", "env | grep -a Flags= >built"),
        ("a.sh", "env | sort | grep -i flags"),
        ("a.sh", "set | grep ^install"),
        ("a.sh", "export -p 2>/dev/null | sed -n '/Flags/p'"),
        ("a.sh", "{ env; } | awk '/Flags/'"),
        ("a.sh", "x=$(printenv | grep Flags)"),
        ("a.sh", "sh -c env | grep Flags"),
        ("a.sh", "tr '\\0' '\\n' </proc/self/environ | grep -a '^instal.Flags' >built || :"),
        ("a.sh", "env -0 | tr '\\0' '\\n' | grep Flags"),
        ("Makefile", "all:\n\t@env | grep Flags >built"),
        ("Makefile", "X := $(shell env | grep Flags)"),
        ("Makefile", "X := $(filter install%,$(.VARIABLES))"),
        ("a.py", "for k, v in os.environ.items():\n    if k.endswith('Flags'):\n        f.write(v)"),
        ("a.py", "x = {k: v for k, v in os.environ.items() if 'Flags' in k}"),
        ("a.py", "e = dict(os.environ)\nfor k in e.keys():\n    if k.startswith('install'):\n        print(k)"),
        ("a.pl", "for (sort keys %ENV) { print if /Flags$/ }"),
        ("a.pl", "print grep { /^install/ } keys %ENV;"),
        ("a.rb", "ENV.each { |k, v| puts v if k.end_with?('Flags') }"),
        ("a.js", "Object.keys(process.env).filter(k => k.endsWith('Flags'))"),
        ("a.awk", "BEGIN { for (k in ENVIRON) if (k ~ /Flags$/) print k }"),
        ("a.go", "for _, e := range os.Environ() {\n\tif strings.Contains(e, \"Flags\") {"),
        ("a.rs", "for (k, v) in env::vars() {\n    if k.ends_with(\"Flags\") {"),
        ("a.c", "for (e = environ; *e; e++)\n    if (strstr(*e, \"Flags=\"))"),
        ("a.tcl", "foreach n [array names env *Flags] { puts $n }"),
        ("a.php", "foreach (getenv() as $k => $v) { if (str_contains($k, 'Flags')) echo $v; }"),
    ];
    each(&cases, is_read);
}

#[test]
fn a_list_that_goes_on() {
    let cases = [
        ("a.sh", "env >built"),
        ("a.sh", "env | sort > built"),
        ("a.sh", "declare -p >x"),
        ("a.sh", "(set) | cut -d= -f1 >x"),
        ("a.sh", "x=$(env)"),
        ("a.sh", "env | ./tool"),
        ("a.sh", "env | md5sum"),
        ("a.sh", "cat /proc/self/environ >built"),
        ("a.sh", "xargs -0 -n1 -a /proc/self/environ >built"),
        ("a.sh", "nice env >x"),
        ("a.sh", "env | grep \"$pattern\""),
        ("gen", "#!/bin/bash\nexport >x"),
        ("Makefile", "all:\n\tprintenv > $@"),
        ("a.py", "json.dump(dict(os.environ), f)"),
        ("a.py", "for k, v in os.environ.items():\n    f.write(k + v)"),
        ("a.py", "f.write(str(os.environ))"),
        ("a.py", "e = os.environ.copy()\njson.dump(e, f)"),
        ("a.pl", "open F, '>x'; for (keys %ENV) { print F $ENV{$_}; syswrite F, $_ }"),
        ("a.rb", "ENV.each { |k, v| file.write(v) }"),
        ("a.js", "fs.writeFileSync('x', JSON.stringify(process.env))"),
        ("CMakeLists.txt", "execute_process(COMMAND ${CMAKE_COMMAND} -E environment OUTPUT_VARIABLE x)"),
        ("meson.build", "run_command('env')"),
        ("a.py", "json.load(open(os.environ['NIX_ATTRS_JSON_FILE']))"),
        ("a.sh", ". \"$NIX_ATTRS_SH_FILE\""),
        ("a.pl", "open F, '.attrs.json';"),
    ];
    each(&cases, |found| found.all.is_some());
}

#[test]
fn a_list_without_proof() {
    let cases = [
        ("a.sh", "env"),
        ("a.sh", "env | sort"),
        ("a.py", "for k in os.environ:\n    check(k)"),
        ("a.c", "for (e = environ; *e; e++) show(*e);"),
        ("a.pl", "foreach my $k (keys %ENV) { check($k) }"),
    ];
    each(&cases, |found| found.unproven.is_some() && found.all.is_none() && found.reads.is_empty());
}

#[test]
fn what_reads_nothing() {
    let cases = [
        ("a", "installFlags"),
        ("a.sh", "echo installFlags"),
        ("a.sh", "installFlags=1"),
        ("a.py", "installFlags = 1"),
        ("a.sh", "$installFlagsX ${XinstallFlags}"),
        ("a.bat", "%installFlags%"),
        ("a", "environment of the thing here: 'installFlags'"),
        // Handed on to a child, or to nobody.
        ("a.py", "subprocess.run(x, env=os.environ)"),
        ("a.py", "env = os.environ.copy()\nenv['X'] = '1'\nsubprocess.run(x, env=env)"),
        ("a.py", "env = dict(os.environ, X='1')"),
        ("a.py", "env = {**os.environ, 'X': '1'}"),
        ("a.py", "if 'X' in os.environ: pass"),
        ("a.go", "cmd.Env = append(os.Environ(), \"X=1\")"),
        ("a.rs", "Command::new(x).envs(std::env::vars())"),
        ("a.js", "spawn(x, { env: { ...process.env, X: 1 } })"),
        ("a.js", "Object.assign({}, process.env)"),
        ("a.pl", "local %ENV = %ENV; my %copy = %ENV;"),
        ("a.rb", "system(ENV.to_h, 'x')"),
        ("a.c", "execve(path, argv, environ);"),
        ("a.c", "char *getenv(const char *name);"),
        // Picked by a text that no name fits.
        ("a.sh", "env | grep ^CARGO_ >x"),
        ("a.sh", "x=$(env | sed -n 's/^LIBTOOL[^=]*=//p')"),
        ("a.py", "for k in os.environ:\n    if k.startswith('NPY_'):\n        f.write(k)"),
        ("a.js", "Object.keys(process.env).filter(k => k.startsWith('npm_'))"),
        ("a.rs", "for (k, v) in env::vars() {\n    if k.starts_with(\"CARGO_FEATURE_\") {"),
        // With a program to run.
        ("a.sh", "env X=1 make; env -u X make; set -e; export X; declare -p X; printenv X"),
        ("a.sh", "# env >x\ncat <<EOF\nenv >x\nEOF"),
        ("a.sh", "env >/dev/null; env >&2; env >>config.log"),
        ("a.sh", "for v in $(env | cut -d= -f1); do unset $v; done"),
        // autoconf's own, into its cache.
        ("configure", "# Generated by GNU Autoconf 2.71\n(set) 2>&1 | sed -n 's/x/y/p' >confcache\n"),
        // Variables of the program, which happen to have such a name.
        ("a.go", "x := os.Getenv(\"X\")\ninstallFlags := x"),
        ("a.js", "let installFlags = process.env.X"),
        ("a.java", "int installFlags = f(System.getenv(\"X\"));"),
        // For people, for services, for Nix.
        ("README.md", "env | grep Flags >x; `os.environ[n]` installFlags"),
        (".github/workflows/a.sh", "env >x"),
        ("default.nix", "installFlags = builtins.getEnv name;"),
        ("a.patch", "+env >x"),
    ];
    each(&cases, |found| !is_read(found) && found.all.is_none());
    // A word as programs have many is read where it is named, nowhere else.
    for (path, text) in
        [("a.py", "os.environ[n]\n'tags'"), ("a.sh", "eval x; tags=1"), ("a.go", "os.Getenv(x)\nf(\"tags\")")]
    {
        assert!(search(path, text).reads.is_empty(), "{path}: {text}");
    }
}

#[test]
fn names_in_lists_count_beside_a_computed_read() {
    assert!(search("names.txt", "postBuild\ninstallFlags\n").named.contains("installFlags"));
    assert!(search("settings.json", "[\"installFlags\"]").named.contains("installFlags"));
    assert!(search("names.py", "NAMES = ['installFlags']").named.contains("installFlags"));
    assert!(search("a.h", "#define FLAGS \"installFlags\"").named.contains("installFlags"));
    assert!(search("a.c", "x(installFlags)").named.is_empty());
    assert!(search("a.txt", "the installFlags of it").named.is_empty());
    assert!(search("read.py", "os.environ.get(name)").is_computed);
    assert!(search("read.c", "getenv(name)").is_computed);
    assert!(!search("read.py", "os.environ.get('X')").is_computed);
    assert!(!search("read.c", "char *getenv(const char *name);").is_computed);
}

fn request(directory: &Path, words: &str) -> Request {
    Request { build_dir: directory.into(), names: names(words), ..Request::default() }
}

fn found(pairs: &[(&str, &str)]) -> BTreeMap<String, PathBuf> {
    pairs.iter().map(|(name, path)| ((*name).to_owned(), (*path).into())).collect()
}

#[test]
fn the_first_text_file_is_named_and_the_others_are_passed_over() {
    let tree = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(tree.path().join(name), content).unwrap();
    fs::create_dir_all(tree.path().join("b/deep")).unwrap();
    write("env-vars", b"$FOO $BAR");
    write("a.o", b"\x7fELF\0$FOO");
    write("b/deep/Makefile", b"x: ; echo $(FOO)");
    write("c", b"$FOO");
    write("a.nix", b"\"${FOO} ${BAR}\"");
    std::os::unix::fs::symlink("/etc/passwd", tree.path().join("d")).unwrap();
    // Over the edge of a piece.
    write("e", &[&vec![b' '; PIECE - 2][..], b"${BAR}", &vec![b' '; PIECE]].concat());
    let answer = mentions(&request(tree.path(), "FOO BAR BAZ")).unwrap();
    assert_eq!(answer.names, found(&[("BAR", "e"), ("FOO", "b/deep/Makefile")]));
}

#[test]
fn a_stamp_leaves_out_what_was_there_before_it() {
    let tree = tempfile::tempdir().unwrap();
    let stamp = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("old"), "$FOO").unwrap();
    fs::write(tree.path().join("changed"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    fs::write(stamp.path().join("stamp"), "").unwrap();
    let mut request = request(tree.path(), "FOO BAR");
    request.newer_than = Some(stamp.path().join("stamp"));
    assert_eq!(mentions(&request).unwrap(), Found::default());
    fs::write(tree.path().join("changed"), "$BAR").unwrap();
    // No mtime can hide it.
    let file = File::options().write(true).open(tree.path().join("changed")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(mentions(&request).unwrap().names, found(&[("BAR", "changed")]));
}

#[test]
fn the_answer_has_a_record_for_each_finding() {
    let mut answer = Found { computed: Some("c".into()), all: Some(("d".into(), "env".into())), ..Found::default() };
    answer.names.insert("X".into(), "a".into());
    answer.named.insert("Y".into(), "b".into());
    answer.unproven.push(("e".into(), "set".into()));
    assert_eq!(answer.write(), b"X\0a\0/named/Y\0b\0/computed\0c\0/all\0d (env)\0/unproven/e\0set\0");
}
