use super::*;

/// A request for these names with these functions.
fn request(wanted: &[&str], functions: &[(&str, &str)], roots: &[&str]) -> Request {
    Request {
        wanted: wanted.iter().map(|name| (name.as_bytes().to_vec(), (*name).to_owned())).collect(),
        later_phases: [b"installPhase".to_vec(), b"fixupPhase".to_vec()].into(),
        roots: roots.iter().map(|text| ("the list of phases".to_owned(), text.as_bytes().to_vec())).collect(),
        functions: functions.iter().map(|(name, text)| (name.as_bytes().to_vec(), text.as_bytes().to_vec())).collect(),
        passed_over: [b"dumpVars".to_vec()].into(),
        ..Request::default()
    }
}

fn notes(request: &Request) -> Vec<(String, String)> {
    reach(request).into_iter().filter(|(name, _)| name != RUNS).collect()
}

#[track_caller]
fn noted(request: &Request, key: &str, who: &str) {
    let notes = notes(request);
    assert!(notes.iter().any(|(name, text)| name == key && text.contains(who)), "{notes:?}");
}

const RUN_HOOK: (&str, &str) = ("runHook", "runHook () { local slice=\"${1%Hook}Hooks[@]\"; eval \"${!slice}\"; }");

#[test]
fn a_word_is_followed_through_functions_hooks_and_values() {
    let functions = [RUN_HOOK, ("buildPhase", "{ runHook preBuild; }"), ("early", "{ echo $installFlags; dumpVars; }")];
    let mut request = request(&["installFlags", "preInstall"], &functions, &["buildPhase"]);
    assert_eq!(notes(&request), []);
    request.variables.insert(b"preBuildHooks".to_vec(), b"declare -a preBuildHooks=([0]=\"early\")".to_vec());
    assert_eq!(notes(&request), [("installFlags".to_owned(), "reads it in the function early".to_owned())]);
    // A value in bash's other quoting.
    request.variables.insert(b"preBuild".to_vec(), b"declare -x preBuild=$'a\\nrunHook preInstall\\n'".to_vec());
    noted(&request, "preInstall", "reads it in preBuild");
}

#[test]
fn the_value_of_a_phase_is_asked_for_not_run() {
    let with = |body: &str| {
        let functions = [("configurePhase", body), ("ninjaPhase", "{ $installFlags; }")];
        let mut request = request(&["installFlags"], &functions, &["configurePhase"]);
        request.variables.insert(b"installPhase".to_vec(), b"declare -- installPhase=\"ninjaPhase\"".to_vec());
        notes(&request).len()
    };
    assert_eq!(with("{ if [[ ${installPhase-ninjaPhase} = ninjaPhase ]]; then installPhase=mesonPhase; fi; }"), 0);
    assert_eq!(with("{ [ \"$installPhase\" ] && eval \"$installPhase\"; }"), 1);
    assert_eq!(with("{ runPhase installPhase; }"), 1);
}

#[test]
fn a_message_about_setting_is_no_read() {
    let with = |body: &str| notes(&request(&["dontPatch"], &[("f", body)], &["f"]));
    assert_eq!(with("{ echo \"$x: (set dontPatch=1 and so on)\" 1>&2; }"), []);
    for body in [
        "{ echo \"$dontPatch=\"; }",
        "{ echo \"dontPatch\"; }",
        "{ echo dontPatch=1; f \"$dontPatch\"; }",
        "{ concatTo x dontPatch=1; }",
    ] {
        assert_eq!(with(body).len(), 1, "{body}");
    }
}

#[test]
fn a_phase_is_called_not_named() {
    let functions = [
        ("configurePhase", "{ installPhase=mesonPhase; [[ $x == otherPhase ]]; }"),
        ("mesonPhase", "{ $installFlags; }"),
        ("otherPhase", "{ $installFlags; }"),
    ];
    assert_eq!(notes(&request(&["installFlags"], &functions, &["configurePhase"])), []);
    // The first text that has the word need not be the one that calls it.
    noted(
        &request(&["installFlags"], &functions, &["configurePhase; x=mesonPhase", "mesonPhase"]),
        "installFlags",
        "mesonPhase",
    );
}

#[test]
fn computed_names_count_where_something_reads_by_name() {
    let flags = |body: &str| request(&["installFlags", "preInstall"], &[RUN_HOOK, ("f", body)], &["f"]);
    noted(
        &flags("{ for p in install; do v=${p}Flags; echo ${!v}; done; }"),
        "installFlags",
        "${p}Flags in the function f",
    );
    noted(&flags("{ local -n v=${p}Flags; }"), "installFlags", "${p}Flags");
    noted(&flags("{ runHook \"pre$x\"; }"), "preInstall", "pre$x");
    noted(&flags("{ echo \"${!inst@}\"; }"), "installFlags", "${!inst@}");
    noted(&flags("{ a=install; b=Flags; c=$a$b; echo ${!c}; }"), "installFlags", "put its name together");
    assert_eq!(notes(&flags("{ echo ${p}Flags; }")), []);
    assert_eq!(notes(&flags("{ echo ${!outputDev} ${p}Flags $out/${p}Flags; }")), []);
    assert_eq!(notes(&flags("{ echo ${!x} $out/${p}Flags -I$x; }")), []);
}

#[test]
fn a_whole_environment_is_everything() {
    let with = |body: &str| request(&["installFlags"], &[("f", body), ("dumpVars", "{ export > f; }")], &["f"]);
    noted(&with("{ env | sort > f; }"), ALL, "reads every variable (env) in the function f");
    assert_eq!(notes(&with("{ dumpVars; env X=1 make; }")), []);
}

/// What the top-level code of one hook is noted for.
fn hook(wanted: &[&str], functions: &[(&str, &str)], text: &str) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("setup"), "set -e\nsource \"$dir/part.sh\"\n").unwrap();
    std::fs::write(directory.path().join("part.sh"), "f() { echo $installFlags; }\nrunHook postHook\n").unwrap();
    std::fs::write(directory.path().join("hook"), text).unwrap();
    let mut request = request(wanted, functions, &["buildPhase"]);
    request.functions.insert(b"buildPhase".to_vec(), b"{ make $makeFlags; }".to_vec());
    request.sourced = vec![directory.path().join("setup"), directory.path().join("hook")];
    notes(&request)
}

#[test]
fn what_a_hook_reads_while_it_is_sourced() {
    let names = ["installPhase", "dontUseNinjaInstall", "installFlags"];
    for text in [
        "if [ -n \"$installFlags\" ]; then export EARLY=1; fi",
        "export EARLY=$installFlags",
        "[[ -z ${installFlags-} ]] || return 0",
        "echo $installFlags >$NIX_BUILD_TOP/x",
        "makeFlags+=\" x$installFlags\"",
        "if [ -n \"$x\" ]; then case $installFlags in a) f=1; touch x ;; esac; fi",
        "x=$(cat <<<$installFlags)",
        "a=$installFlags\nexport b=$a",
        "preBuildHooks+=($installFlags)",
        "if [ -z $installFlags ]; then f() { :; }; fi",
        "if [ -z \"$x\" ] && [ -z \"$installFlags\" ]; then installPhase=f; postBuildHooks+=(f); fi",
        "{ [ -z \"$x\" ] || [ -z \"$installFlags\" ]; } && postBuildHooks+=(f)",
    ] {
        let notes = hook(&names, &[], text);
        assert!(
            notes.len() == 1
                && notes[0].0 == "installFlags"
                && notes[0].1.contains("top-level code of the setup hook /"),
            "{text}: {notes:?}"
        );
    }
    for text in [
        "if [ -z \"${dontUseNinjaInstall-}\" ] && [ -z \"${installPhase-}\" ]; then\n  installPhase=ninjaInstallPhase # installFlags\nfi",
        "[[ -n $installFlags ]] || installPhase=x",
        "if [ -z $x ] && [ -z $installFlags ]; then installPhase=x; fi",
        "if [ -z $x ]; then postBuildHooks+=(f); if [ -z $x ] && [ -z $installFlags ]; then installPhase=x; fi; fi",
        "if [ -z \"$installFlags\" ]; then echo \"Using x\"; appendToVar preFixupPhases xPhase; preInstallHooks+=(f); fi",
        "f() {\n echo $installFlags\n}\npreInstallHooks+=(f)",
        "function f { echo $installFlags; }",
        ": \"${installFlags:=x}\"",
        "cat <<EOF >/dev/null\n$x it's\nEOF\nf() { $installFlags; }",
        "nobodyReadsIt=$installFlags",
    ] {
        assert_eq!(hook(&names, &[], text), [], "{text}");
    }
}

#[test]
fn what_a_hook_sets_may_be_read_by_a_name_that_is_put_together() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("setup"), "set -e\n").unwrap();
    std::fs::write(directory.path().join("hook"), "ownMarker=$installFlags").unwrap();
    let noted = |phase: &str, functions: &[(&str, &str)]| {
        let mut request = request(&["installFlags"], functions, &["buildPhase"]);
        request.functions.insert(b"buildPhase".to_vec(), phase.as_bytes().to_vec());
        request.sourced = vec![directory.path().join("setup"), directory.path().join("hook")];
        !notes(&request).is_empty()
    };
    assert!(noted("{ v=own${kind}; echo ${!v}; }", &[]));
    assert!(noted("{ show own$kind; }", &[("show", "{ local -n v=$1; echo $v; }")]));
    assert!(!noted("{ v=other${kind}; echo ${!v}; }", &[]));
    assert!(!noted("{ echo own${kind}; }", &[]), "nothing reads by that name");
}

#[test]
fn functions_that_a_hook_runs_while_it_is_sourced() {
    let functions =
        [RUN_HOOK, ("f", "{ g x; }"), ("g", "{ echo $installFlags; }"), ("late", "{ echo $installFlags; }")];
    for text in ["f", "addEnvHooks \"$hostOffset\" f", "if true; then f; fi", "x=$(f)", "trap f EXIT"] {
        let notes = hook(&["installFlags"], &functions, text);
        assert_eq!(notes, [("installFlags".to_owned(), "reads it in the function g".to_owned())], "{text}");
    }
    for text in ["preInstallHooks+=(late)", "appendToVar preFixupPhases late", "late() { :; }"] {
        assert_eq!(hook(&["installFlags"], &functions, text), [], "{text}");
    }
}

#[test]
fn any_text_is_survived() {
    let piece = "if case x in ( ) ;; esac { } $( ` \" ' ${ <<E && || ! [[ (( function f() = \\ # for do done fi \n";
    for start in 0..piece.len() {
        for end in start..piece.len() {
            let text = piece[start..end].repeat(2);
            let script = shell::parse(text.as_bytes());
            assert!(script.nodes.iter().all(|node| node.range.end <= text.len()), "{text}");
            names::computed(text.as_bytes());
        }
    }
    let deep = "$(".repeat(5000) + &"{ (".repeat(5000);
    shell::parse(deep.as_bytes());
    names::computed(deep.as_bytes());
}

/// What is noted for an early phase with these variables, and functions beside it.
fn early(phase: &str, variables: &[(&str, &str)], functions: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = vec![RUN_HOOK, ("look", "{ echo $installFlags; }"), ("buildPhase", phase)];
    all.extend(functions);
    let mut request = request(&["installFlags"], &all, &["buildPhase"]);
    for (name, value) in variables {
        request.variables.insert(name.as_bytes().to_vec(), format!("declare -- {name}=\"{value}\"").into_bytes());
    }
    notes(&request)
}

#[test]
fn a_command_whose_name_is_put_together() {
    let of = |phase: &str, text: &str| early(phase, &[], &[("do_look", "{ look; }"), ("f", text)]).len();
    for text in ["{ \"do_$1\"; }", "{ ${1}_look; }", "{ eval \"do_$1\"; }", "{ local c=do_$1; \"$c\" x; }"] {
        assert_eq!(of("f x", text), 1, "{text}");
    }
    for text in ["{ \"$out/do_$1\"; }", "{ local c=do_$1; echo \"$c\"; }", "{ \"do_$1_more\"x; }"] {
        assert_eq!(of("f x", text), 0, "{text}");
    }
}

#[test]
fn values_are_searched_as_code_where_they_are_run() {
    let given = ("run", "{ local each; for each in \"$@\"; do $each; done; }");
    for phase in [
        "$NOTE",
        "eval \"$NOTE\"",
        "run \"$NOTE\"",
        "x=$NOTE; y=\"a $x\"; $y",
        "for x in $NOTE; do $x; done",
        "runHook NOTE",
        "trap \"$NOTE\" EXIT",
        "read -r x; echo $NOTE; $x",
    ] {
        assert_eq!(early(phase, &[("NOTE", "look")], &[given]).len(), 1, "{phase}");
    }
    for phase in ["echo \"$NOTE\"", "make X=$NOTE", "x=$NOTE; run y; echo $x", "cd $NOTE; $other"] {
        assert_eq!(early(phase, &[("NOTE", "see look")], &[given]), [], "{phase}");
        assert_eq!(early(phase, &[("NOTE", "env install")], &[given]), [], "{phase}");
    }
    // Hooks and phases are run wherever their names are.
    assert_eq!(early("echo preBuild", &[("preBuild", "look")], &[]).len(), 1);
    // A name in a value may be read by.
    assert_eq!(early("f \"$NOTE\"", &[("NOTE", "installFlags")], &[]).len(), 1);
}

#[test]
fn paths_and_names_of_packages_call_nothing() {
    let values =
        [("nativeBuildInputs", "/nix/store/x-look-8 look"), ("pname", "look"), ("dir", "/a/look-8/bin ./look")];
    let phase = "for x in $nativeBuildInputs $pname $dir; do $x/bin/look; done";
    assert_eq!(early(phase, &values, &[]), []);
    assert_eq!(early(phase, &[("dir", "/a; look")], &[]).len(), 1);
}

#[test]
fn a_function_in_a_message_is_not_called() {
    for phase in ["echo \"to look\" >&2", "nixInfoLog \"${FUNCNAME[0]}: set x to look\"", "printf '%s\\n' look"] {
        assert_eq!(early(phase, &[], &[]), [], "{phase}");
        assert_eq!(hook(&["installFlags"], &[("look", "{ echo $installFlags; }")], phase), [], "{phase}");
    }
    for phase in [
        "echo \"$(look)\"",
        "eval \"$(echo look)\"",
        "source <(echo look)",
        "$(echo look) x",
        "x=$(echo look); $x",
        "echo look; look",
        "echo look | while read -r x; do $x; done",
    ] {
        assert_eq!(early(phase, &[], &[]).len(), 1, "{phase}");
    }
}

#[test]
fn hooks_that_list_everything() {
    let mut wrong = Vec::new();
    for body in [
        "sh -c env",
        "bash -c 'env | grep x'",
        "bash -ec \"env\"",
        "echo | xargs env",
        "nice -n 5 env",
        "timeout 5 printenv",
        "e=env; $e",
        "local e=printenv; $e | grep x",
        "perl -e 'print join \" \", %ENV'",
        "perl -e 'for (keys %ENV) { print }'",
        "jq -n '$ENV'",
        "jq -n 'env'",
        "jq -n --arg n x 'env[$n]'",
        "awk 'BEGIN { for (k in ENVIRON) print k }'",
        "python3 -c 'import os; print(os.environ)'",
        "python3 -c 'import os; os.environ[n]'",
        "ruby -e 'puts ENV.to_a'",
        "node -e 'console.log(process.env)'",
        "python3 <<EOF\nimport os\nprint(os.environ)\nEOF",
        "bash <<'EOF'\nenv | grep x\nEOF",
        "bash <<< env",
        "cat /proc/self/environ",
        "tr a b </proc/self/environ >x",
        "tr a b </dev/null; xargs -0 -a /proc/$$/environ",
        "grep Flags $NIX_BUILD_TOP/env-vars",
        "find . -name x -exec env \\;",
        "cp \"$NIX_ATTRS_JSON_FILE\" x",
    ] {
        let body = format!("{{ {body}\n}}");
        let request = request(&["installFlags"], &[("f", &body)], &["f"]);
        if !notes(&request).iter().any(|(name, _)| name == ALL) {
            wrong.push(body);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn hooks_that_do_not() {
    let mut wrong = Vec::new();
    for body in [
        "sh -c 'echo x'",
        "xargs rm",
        "nice make",
        "e=make; $e",
        "perl -pi -e 's/a/b/' x",
        "perl -e 'print $ENV{HOME}'",
        "jq -n '$ENV.HOME'",
        "jq .x file",
        "awk '{ print ENVIRON[\"HOME\"] }'",
        "python3 -c 'import os; print(os.environ[\"HOME\"])'",
        "python3 -c 'import os; print(os.environ.get(\"HOME\"))'",
        "node -e 'process.env.HOME'",
        "cat <<EOF >x\nenv\nEOF",
        "bash <<EOF\necho x\nEOF",
        "rm -f env-vars",
        "cp -r . $out",
        "export NIX_ATTRS_SH_FILE=x",
        "venv=env; cd $venv",
    ] {
        let body = format!("{{ {body}\n}}");
        let request = request(&["installFlags"], &[("f", &body)], &["f"]);
        if notes(&request).iter().any(|(name, _)| name == ALL) {
            wrong.push(body);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// As the builder of nixpkgs' Perl modules: it defines what the phases run later.
#[test]
fn a_builder_script_runs_its_top_level_alone() {
    let builder = "source $stdenv/setup\noldPreConfigure=\"$preConfigure\"\npreConfigure() { eval \"$oldPreConfigure\"; }\ngenericBuild\n";
    let functions = [
        RUN_HOOK,
        ("_multioutConfig", "{ $installFlags; }"),
        ("preConfigure", "{ eval \"$oldPreConfigure\"; }"),
        ("own", "{ $installFlags; }"),
    ];
    let with = |text: &str, phases: &str| {
        let mut request = request(&["installFlags"], &functions, &[phases]);
        request.passed_over.insert(b"genericBuild".to_vec());
        request
            .variables
            .insert(b"preConfigureHooks".to_vec(), b"declare -a preConfigureHooks=([0]=\"_multioutConfig\")".to_vec());
        request.roots.push(("the builder script x".to_owned(), text.as_bytes().to_vec()));
        notes(&request).iter().any(|(name, _)| name == "installFlags")
    };
    assert!(!with(builder, "unpackPhase"));
    // In the stage that runs it.
    assert!(with(builder, "runHook preConfigure"));
    // What it calls by itself.
    assert!(with(&builder.replace("genericBuild", "own\ngenericBuild"), "unpackPhase"));
    assert!(with(&builder.replace("genericBuild", "x=own; $x\ngenericBuild"), "unpackPhase"));
    assert!(with(&builder.replace("genericBuild", "runHook preConfigure\ngenericBuild"), "unpackPhase"));
}

#[test]
fn a_file_of_the_tree_that_a_hook_sources() {
    let tree = tempfile::tempdir().unwrap();
    let file = tree.path().join("settings.sh");
    std::fs::write(&file, "unset postInstall\n").unwrap();
    for body in [format!("{{ . {}; }}", file.display()), "{ source \"$sourceRoot/settings.sh\"; }".to_owned()] {
        let mut request = request(&["postInstall"], &[("f", &body)], &["f"]);
        let root = format!("declare -- sourceRoot=\"{}\"", tree.path().display());
        request.variables.insert(b"sourceRoot".to_vec(), root.into_bytes());
        noted(&request, "postInstall", "settings.sh");
    }
}

#[test]
fn a_stage_that_may_run_something_of_the_source() {
    let with = |phase: &str, post_patch: &str| {
        let mut request = request(&["x"], &[RUN_HOOK, ("patchPhase", "{ runHook postPatch; }")], &[phase]);
        request.variables.insert(b"postPatch".to_vec(), format!("declare -- postPatch=\"{post_patch}\"").into_bytes());
        reach(&request).contains_key(RUNS)
    };
    assert!(!with("patchPhase", "sed -i s/a/b/ x"));
    assert!(with("patchPhase", "bash ./autogen.sh"));
    assert!(with("buildPhase", ""));
    assert!(!with("unpackPhase", "bash ./autogen.sh"));
}
