//! What a package sees of its build directory, its processes and the files outside: what the unsplit build would show it.

use std::fs;

use crate::support::{Project, salt};

/// A package of the host set that unpacks nothing, with these attributes, generated for a sandbox or for none.
fn with(name: &str, attributes: &str, sandbox: bool) -> Project {
    let mut project = Project::new(&format!(
        r#"{{ stdenv, runCommand }}:
stdenv.mkDerivation ({{
  name = "{name}";
  salt = "{}";
  dontUnpack = true;
}} // {{ {attributes} }})
"#,
        salt()
    ));
    if !sandbox {
        "sandbox = false".clone_into(&mut project.settings);
    }
    project.generate(&[]);
    project
}

/// Builds and compares with the unsplit build; gives the log.
fn equal_in(sandbox: bool, attributes: &str) -> String {
    let project = with("outside-case", attributes, sandbox);
    let (_, log) = project.build("phases.finish");
    project.assert_equal();
    log
}

fn equal(attributes: &str) -> String {
    equal_in(true, attributes)
}

/// stdenv's own dump differs in each build by what it holds; it is there in both.
const LIST: &str = r"
  list() {
    find . -mindepth 1 | LC_ALL=C sort >$1
    tar --exclude=./env-vars -cf - . | tar -tf - | LC_ALL=C sort >>$1
    rm -f env-vars
    cp -r . $1.copy
  }
";

#[test]
fn everything_in_the_build_directory_is_what_it_would_be() {
    for sandbox in [true, false] {
        equal_in(
            sandbox,
            &format!(
                r#"buildPhase = "echo a >a; mkdir b; echo c >b/.c";
                   installPhase = ''{LIST} mkdir -p $out; list $out/listing'';"#
            ),
        );
        // With files of Nix's own, which lie there in the unsplit build too.
        equal_in(
            sandbox,
            &format!(
                r#"text = "a text\nof two lines"; passAsFile = [ "text" ];
                   buildPhase = "cat $textPath >seen; [[ $textPath == $NIX_BUILD_TOP/.attr-* ]]";
                   installPhase = ''{LIST} mkdir -p $out; list $out/listing; cat $textPath >$out/text'';"#
            ),
        );
    }
}

#[test]
fn structured_attributes_lie_where_they_would() {
    for sandbox in [true, false] {
        equal_in(
            sandbox,
            r#"__structuredAttrs = true; env.ODD = "it's \"x\"\n"; outputs = [ "out" "dev" ];
               buildPhase = "source .attrs.sh; basename $stdenv >stdenv; echo $name >>stdenv";
               installPhase = ''
                 mkdir -p $out $dev
                 ls -A | LC_ALL=C sort >$out/listing
                 cp stdenv $out/
                 if [ -n "''${NIX_ATTRS_SH_FILE-}" ]; then basename "$NIX_ATTRS_SH_FILE" >$out/name; fi
                 ! grep 'phasesplitStag[e]' .attrs.json .attrs.sh >$out/ours
               '';"#,
        );
    }
}

#[test]
fn a_package_keeps_files_under_the_names_of_others() {
    for sandbox in [true, false] {
        equal_in(
            sandbox,
            r#"noDumpEnvVars = 1;
               configurePhase = ''
                 mkdir sub
                 for name in .phasesplit .attrs.json .attrs.sh .attr-0abc env-vars sub/env-vars sub/.attrs.sh; do echo "own $name" >$name; done
               '';
               installPhase = ''
                 mkdir -p $out
                 for name in .phasesplit .attrs.json .attrs.sh .attr-0abc env-vars sub/env-vars sub/.attrs.sh; do cat $name; done >$out/own
               '';"#,
        );
        // One of Nix's that the package changed is the package's.
        equal_in(
            sandbox,
            r#"text = "of Nix"; passAsFile = [ "text" ];
               configurePhase = "echo own >$textPath";
               installPhase = "mkdir -p $out; cat $textPath >$out/own";"#,
        );
    }
}

#[test]
fn a_build_directory_that_is_emptied_stays_empty() {
    for (sandbox, structured) in [(true, false), (true, true), (false, false), (false, true)] {
        equal_in(
            sandbox,
            &format!(
                r#"__structuredAttrs = {structured}; text = "of Nix"; passAsFile = {};
                   buildPhase = ''rm -rf "$NIX_BUILD_TOP"/* "$NIX_BUILD_TOP"/.[!.]*'';
                   doCheck = true; checkPhase = "echo checked >checked";
                   installPhase = "rm -f env-vars; mkdir -p $out; ls -A >$out/listing";"#,
                if structured { "[ ]" } else { r#"[ "text" ]"# }
            ),
        );
    }
}

#[test]
fn an_archive_without_a_top_directory_is_installed_as_it_is() {
    let project = with(
        "drawings",
        r#"dontUnpack = false; sourceRoot = ".";
           src = runCommand "drawings.tar.gz" { } "mkdir a b; echo x >a/i.svg; echo y >b/j.svg; tar -czf $out a b";
           installPhase = "rm env-vars; mkdir -p $out/share; cp -r ./ $out/share/drawings";"#,
        true,
    );
    project.build("phases.finish");
    project.assert_equal();
}

#[test]
fn a_check_that_ends_processes_by_the_package_s_name_does_not_hit_its_stage() {
    equal(
        r#"doCheck = true;
           checkPhase = ''
             (exec -a outside-case-server sleep 1000) &
             while ! pgrep -f outside-case-server >/dev/null; do :; done
             # The server, and nothing else.
             pgrep -fc outside-case >hit
             pkill -f outside-case
             wait $! || true
             pkill -f outside-case || echo "none is left" >>hit
           '';
           installPhase = "mkdir -p $out; cp hit $out/";"#,
    );
    // Without a sandbox that would look at the whole machine.
    let project = with(
        "outside-case",
        r#"buildPhase = "cat /proc/$$/cmdline /proc/$PPID/cmdline >lines; grep -ac bash lines >seen; grep -ac outside-case lines >>seen || :";
           installPhase = "mkdir -p $out; cp seen $out/";"#,
        false,
    );
    let out = project.outputs("phases.finish").remove(0).1;
    let seen = fs::read_to_string(out.join("seen")).expect("written");
    assert_eq!(seen, "1\n0\n");
}

#[test]
fn files_in_tmp_go_along() {
    equal(
        r#"configurePhase = ''
             export XDG_CACHE_HOME=/tmp/cache HOME=/tmp/home
             mkdir -p $XDG_CACHE_HOME $HOME/.config; echo fast >$XDG_CACHE_HOME/plan; echo y >$HOME/.config/x
             ln /tmp/cache/plan /tmp/linked; ln -s cache/plan /tmp/soft; mkfifo -m 640 /tmp/pipe; chmod 500 /tmp/cache
             touch -d @1000000000.123456789 /tmp/home; echo shared >/dev/shm/segment
             python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/tmp/socket")' || echo none >/tmp/socket
             mkdir /tmp/here; cd /tmp/here
           '';
           buildPhase = "pwd >where; rm /tmp/soft; echo more >>/tmp/linked";
           installPhase = ''
             mkdir -p $out
             cat /tmp/cache/plan /tmp/linked /dev/shm/segment where $HOME/.config/x >$out/read
             find /tmp -mindepth 1 -printf '%P %y %m %n\n' | LC_ALL=C sort >$out/tree
             stat -c %y /tmp/home /tmp/pipe | head -n 1 >$out/times
           '';"#,
    );
}

#[test]
fn what_cannot_go_along_is_named() {
    let project = with(
        "named-losses",
        r#"buildPhase = ''
             mkdir -p /var/tmp/cache; echo x >/etc/of-the-build; mkdir /home2 || true
             echo x >held; touch -d 2001-01-01 held; cp -p held /etc/old; ln -s /nix/store /etc/link
             exec 9>held
             (trap "" TERM; while :; do sleep 1; done) &
             coproc server { cat; }
           '';
           installPhase = "mkdir -p $out";"#,
        true,
    );
    let (_, log) = project.build("phases.finish");
    let said: Vec<&str> = log.lines().filter(|line| line.contains("stage build: warning: ")).collect();
    let all = said.join("\n");
    for part in [
        "/etc/of-the-build",
        "/etc/old",
        "/etc/link",
        "/var",
        "file descriptors open in the shell",
        " 9",
        "cat (pid ",
        "that buildPhase left",
        "--merge",
    ] {
        assert!(all.contains(part), "{part}: {log}");
    }
    let state = project.outputs("phases.build").remove(0).1;
    let info: serde_json::Value =
        serde_json::from_slice(&fs::read(state.join("info.json")).expect("a state")).expect("JSON");
    assert_eq!(info["warnings"].as_array().map(Vec::len), Some(said.len()), "{info}");
    assert!(!log.contains("stage install: warning"), "{log}");
}

#[test]
fn the_exit_trap_of_a_server_is_no_later_stage_s() {
    for trap in ["'kill $serverPid'", "stop"] {
        let log = equal(&format!(
            r#"buildPhase = "echo built >built"; doCheck = true;
               checkPhase = "stop() {{ kill $serverPid; }}; sleep 1000 & serverPid=$!; trap {trap} EXIT";
               installPhase = "mkdir -p $out; cp built $out/";"#
        ));
        assert!(log.contains("stage check: warning: the EXIT trap ") && log.contains("sleep (pid "), "{log}");
    }
    // One that ends no process runs where it always did.
    let log = equal(
        r#"buildPhase = "trap 'echo done >$NIX_BUILD_TOP/done; cp $NIX_BUILD_TOP/done $out/' EXIT";
           installPhase = "mkdir -p $out";"#,
    );
    assert!(!log.contains("warning: the EXIT trap"), "{log}");
    // One that does both is refused, with its stage and what it is.
    let log = with(
        "both",
        r#"buildPhase = "sleep 1000 & pid=$!; trap 'kill $pid; echo x >$out/x' EXIT"; installPhase = "mkdir -p $out";"#,
        true,
    )
    .build_fails("phases.finish");
    assert!(log.contains("stage build: a phase set the EXIT trap 'kill $pid; echo x >$out/x'"), "{log}");
}

#[test]
fn git_calls_the_restored_tree_clean() {
    equal(
        r#"buildPhase = ''
             echo hello >file; mkdir dir; echo more >dir/other; ln -s file link
             git init -q . && git add file dir link && git -c user.name=n -c user.email=e commit -qm base && git tag v1
           '';
           doCheck = true; checkPhase = "git diff-index HEAD >index; git describe --tags --dirty >version";
           installPhase = ''
             git diff-files >>index; touch -d @1 dir/other; git diff-index --name-only HEAD >>index
             mkdir -p $out; cp index version $out/
           '';"#,
    );
}

#[test]
fn an_output_that_names_a_state_is_refused() {
    let plant = |what: &str| {
        with("planted", &format!(r#"installPhase = "mkdir -p $out"; postFixup = ''{what}'';"#), true)
            .build_fails("phases.finish")
    };
    // Without a stage's arguments a package learns of states only from what was written for the runtime.
    let parent = "state=$(sed -n 's/^parent //p' /nix/store/*-phasesplit/options)";
    for what in [
        format!("{parent}; echo $state >$out/file"),
        format!("{parent}; ln -s $state $out/link"),
        format!("{parent}; mkdir $out/dir; printf \"x%s\\n\" $state >$out/dir/file; chmod 0 $out/dir/file"),
        "echo /nix/store/*-phasesplit/options >$out/file".to_owned(),
    ] {
        let log = plant(&what);
        assert!(log.contains("stage finish: an output names a path of the split build"), "{what}: {log}");
        assert!(log.contains("-planted/") && log.contains(": it names /nix/store/"), "{what}: {log}");
    }
}
