//! What packages do to their shell and their builder: the split build gives the unsplit one's result, or says why not.

use crate::support::{Project, salt};

/// A package of the host set with these attributes, generated; it unpacks nothing and installs one file by default.
fn with(attributes: &str) -> Project {
    let project = Project::new(&format!(
        r#"{{ stdenv, writeText }}:
stdenv.mkDerivation ({{
  name = "runtime-case";
  salt = "{}";
  dontUnpack = true;
  installPhase = "mkdir -p $out; echo installed >$out/file";
}} // {{ {attributes} }})
"#,
        salt()
    ));
    project.generate(&[]);
    project
}

fn equal(attributes: &str) {
    let project = with(attributes);
    project.build("phases.finish");
    project.assert_equal();
}

fn refused(attributes: &str, reason: &str) {
    let log = with(attributes).build_fails("phases.finish");
    assert!(log.contains(reason), "the log does not say {reason:?}:\n{log}");
}

#[test]
fn exit_in_a_phase_before_finish_is_refused_by_name() {
    refused(r#"buildPhase = "exit 0";"#, "stage build: it ended with success before its state was saved");
    refused(r#"installPhase = "mkdir $out; exit 0";"#, "stage install: it ended with success");
}

#[test]
fn whatever_ends_finish_the_outputs_are_searched_for_staged_prefixes() {
    let staged = "put a staged prefix into an output";
    let packed = r#"buildPhase = "echo $out | xz >conf";"#;
    refused(&format!(r#"{packed} postFixup = "cp conf $out/; exit 0";"#), staged);
    refused(&format!(r#"{packed} exitHook = "cp $NIX_BUILD_TOP/conf $out/";"#), staged);
    refused(r#"buildPhase = "echo $out | xz >conf; trap 'cp $NIX_BUILD_TOP/conf $out/' EXIT";"#, staged);
    equal(r#"buildPhase = "echo $out >conf"; exitHook = "cp $NIX_BUILD_TOP/conf $out/";"#);
    equal(r#"postFixup = "echo fixed >$out/fixed; exit 0";"#);
}

#[test]
fn a_builder_script_may_source_setup_again_and_go_on_after_generic_build() {
    equal(
        r#"builder = builtins.toFile "builder.sh" ''
          source $stdenv/setup
          buildPhase() { echo "from the builder" >built; }
          installPhase() { mkdir -p $out; cp built $out; basename $stdenv >$out/stdenv; }
          genericBuild
          echo after >$out/after
        ''; installPhase = null;"#,
    );
    // A child that sources it runs the whole of stdenv's own genericBuild.
    equal(
        r#"buildPhase = "bash -c 'source $stdenv/setup; phases=innerPhase innerPhase=\"echo inner >inner\"; genericBuild'";
        installPhase = "mkdir $out; cp inner $out";"#,
    );
}

#[test]
fn a_builder_script_that_calls_generic_build_otherwise_is_refused() {
    let builder = |text| format!(r#"builder = builtins.toFile "builder.sh" "source $stdenv/setup\n{text}\n";"#);
    refused(&builder("genericBuild; genericBuild"), "calls genericBuild more than once");
    refused(&builder("genericBuild | cat"), "in a subshell or a pipeline");
    refused(&builder("mkdir $out; exit 0"), "it ended with success before its state was saved");
}

#[test]
fn what_a_builder_script_reads_it_gets_in_every_stage() {
    let attributes = |builder| {
        format!(
            r#"installFlags = "read early"; configurePhase = "echo $configureFlags >flags";
            installPhase = "mkdir $out; cp flags $out";
            builder = {builder} "builder.sh" "source $stdenv/setup\nconfigureFlags=$installFlags\ngenericBuild\n";"#
        )
    };
    equal(&attributes("builtins.toFile"));
    refused(&attributes("writeText"), "installFlags was held back until here");
}

#[test]
fn install_flags_of_a_package_with_one_output() {
    equal(r#"installFlags = [ "a" "b" ]; installPhase = "mkdir $out; echo $installFlags >$out/flags";"#);
}

#[test]
fn read_only_variables_of_any_name() {
    equal(
        r#"configurePhase = ''
          readonly name
          readonly text=1 index=5 flags=6 signal=8 word=9 marks=3 texts=4 stack=5 left=7 options=6 before_options=8 trees=1
          kept() { echo kept; }
          trap 'echo usr1' USR1
          shopt -s extglob
        '';
        buildPhase = "readonly later=1";
        dontFixup = true;
        installPhase = "mkdir $out; { readonly -p; kept; trap -p; shopt; } | grep -v -e BASH -e PPID >$out/shell";"#,
    );
    refused(r#"configurePhase = "readonly IFS";"#, "made IFS read-only");
}

#[test]
fn variables_that_bash_or_nix_set_are_kept_where_a_phase_sets_them() {
    equal(
        r#"configurePhase = "OPTIND=3 REPLY=reply; export HOSTNAME=here NIX_BUILD_CORES=1";
        installPhase = "mkdir $out; echo $OPTIND $REPLY $HOSTNAME $NIX_BUILD_CORES $SHLVL >$out/values";"#,
    );
}

#[test]
fn attributes_with_names_that_the_runtime_could_use() {
    let attributes = r#"lock = "a"; status = "b"; flags = "c"; name_ = "d"; map = "e"; text = "f"; index = "g"; i = "h";
        installPhase = "mkdir $out; env | grep -x '[a-z_]*=[a-h]' | sort >$out/values; [ $(wc -l <$out/values) = 8 ]";"#;
    equal(attributes);
    let mut project = with(attributes);
    project.settings = "sandbox = false".to_owned();
    project.build("phases.finish");
}

#[test]
fn a_redirected_standard_stream_is_refused() {
    refused(r#"configurePhase = "exec >log";"#, "redirected the shell's own file descriptor 1");
    refused(r#"configurePhase = "exec 2>log";"#, "redirected the shell's own file descriptor 2");
    equal(r#"configurePhase = "exec 2>&1; { echo x; } >log"; installPhase = "mkdir $out; cp log $out";"#);
}

#[test]
fn a_phase_may_empty_the_build_directory() {
    equal(
        r#"buildPhase = "find $NIX_BUILD_TOP -mindepth 1 -delete; echo new >new";
        installPhase = "mkdir $out; cp new $out";"#,
    );
}

#[test]
fn files_of_export_references_graph_are_in_every_stage() {
    let attributes = r#"exportReferencesGraph = [ "graph" (builtins.toFile "leaf" "leaf") ];
        buildPhase = "cp $NIX_BUILD_TOP/graph built";
        installPhase = "mkdir $out; cp built $NIX_BUILD_TOP/graph $out";"#;
    equal(attributes);
    let mut project = with(attributes);
    project.settings = "sandbox = false".to_owned();
    project.build("phases.finish");
    project.assert_equal();
}

#[test]
fn names_as_long_as_nix_takes_them() {
    equal(&format!(r#"name = "long_name.with+signs-{}";"#, "x".repeat(186)));
}

#[test]
fn outputs_in_any_order_of_any_kind() {
    equal(
        r#"outputs = [ "dev" "out" "link" "file" ]; dontFixup = true;
        installPhase = "mkdir $out; ln -s $out/x $link; echo $out >$file; mkdir $dev; echo $file >$dev/file";"#,
    );
    equal(
        r#"outputs = [ "dev" "lib" ]; outputBin = "dev"; outputLib = "lib"; outputDoc = "dev";
        installPhase = "mkdir $dev $lib; echo \${out-no out} $lib >$dev/file";"#,
    );
    // One that only fixup makes.
    equal(r#"outputs = [ "out" "dev" ]; preFixup = "mkdir $dev; mv $out/file $dev/";"#);
}

/// An early phase sets it, and later phases have it as in the unsplit build. The shell at large is `tests/shell_generated`.
#[test]
fn what_a_shell_has_besides_values() {
    equal(
        r#"preConfigure = ''
          ulimit -Sn 64; ulimit -s 3000; hash -p /nowhere/tool mytool; enable -n pwd; trap 'echo x' RTMIN+2 TSTP
          RANDOM=42; SECONDS=50000; export MODE; declare -gA map; declare -gi number; declare -gu upper
          export BASH_COMPLETION_DIR=$out/share COMP_LEVEL=9 BASH_ENV=$PWD/env.sh; READLINE_PREFIX=/usr/lib
          echo 'export FROM_BASH_ENV=1' >env.sh
        '';
        configurePhase = "runHook preConfigure";
        buildPhase = "MODE=release; map[k]=v; number=1+1; upper=a; bash -c 'echo mode=$MODE env=$FROM_BASH_ENV' >seen";
        installPhase = ''
          mkdir $out
          { ulimit -Sn; ulimit -s; hash -t mytool; enable -n; trap -p; echo $RANDOM $RANDOM $((SECONDS / 10000))
            declare -p map number upper BASH_COMPLETION_DIR COMP_LEVEL READLINE_PREFIX; cat seen; } >$out/shell
        '';"#,
    );
}

#[test]
fn a_changed_ifs_in_every_stage() {
    for ifs in ["IFS=:", "IFS=", "unset IFS", "IFS=aeiou", "IFS=0123456789", "export IFS=_-/"] {
        equal(&format!(
            r#"dontFixup = true; prePatch = "{ifs}"; buildPhase = "declare -p IFS >ifs || echo unset >ifs";
            installPhase = "mkdir \"$out\"; cp ifs \"$out\"/";"#
        ));
    }
}

#[test]
fn traps_see_the_packages_commands_alone() {
    equal(
        r#"preConfigure = "set -E; trap 'echo error $? >>$NIX_BUILD_TOP/errors' ERR";
        buildPhase = "cat $NIX_BUILD_TOP/errors >seen 2>/dev/null || echo none >seen";
        installPhase = "trap - ERR; mkdir -p $out; cp seen $out/";"#,
    );
    equal(
        r#"configurePhase = "trap 'calls=$((\${calls-0} + 1))' DEBUG; trap 'returns+=\" \${FUNCNAME[0]}\"' RETURN";
        buildPhase = "echo $calls $returns >seen";
        installPhase = "trap - DEBUG RETURN; mkdir -p $out; echo $calls $returns | cat seen - >$out/seen";"#,
    );
    refused(r#"configurePhase = "set -T; trap : DEBUG";"#, "left a trap on DEBUG that functions inherit");
}

#[test]
fn functions_with_the_names_of_builtins() {
    let names = "printf trap read cd shopt export mapfile enable umask unset";
    equal(&format!(
        r#"configurePhase = "for name in {names}; do builtin eval \"$name() {{ echo called $name >>$NIX_BUILD_TOP/called; builtin $name \\\"\\$@\\\"; }}\"; done";
        buildPhase = "unset -f {names}; : >>$NIX_BUILD_TOP/called";
        dontFixup = true;
        installPhase = "mkdir $out; sort -u $NIX_BUILD_TOP/called >$out/called";"#
    ));
    refused(r#"configurePhase = "builtin() { :; }";"#, "defined a function with the name builtin");
}

#[test]
fn a_shell_that_stands_in_a_directory_that_is_gone_or_outside() {
    let install = r#"installPhase = "cd $NIX_BUILD_TOP; mkdir $out; cp -r after $out/";"#;
    equal(&format!(
        r#"buildPhase = "mkdir lost; cd lost; rmdir ../lost";
        checkPhase = "[[ ! . -ef $PWD ]] && echo $PWD >$NIX_BUILD_TOP/after"; doCheck = true; {install}"#
    ));
    equal(&format!(r#"buildPhase = "mkdir -p a/b; cd a/b; rm -r ../../a; echo x >$NIX_BUILD_TOP/after"; {install}"#));
}
