//! What the events of a build add up to: which derivations run, how long, and which failed.
//!
//! A state machine on [`Event`]s; the caller gives the time, so it is pure.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use super::events::Event;
use crate::state::log::BASH_NOISE;

/// How many of a build's last lines are kept for a report of its failure.
pub const TAIL: usize = 25;

/// How many warnings of one build are kept.
const WARNINGS: usize = 200;

/// What Nix says when a connection to a machine breaks; that the build there failed comes next, and says no more than so.
/// The first was seen with 2.8, 2.26 and 2.34; the others are what the system and ssh call the same.
const LOSSES: [&str; 5] =
    ["unexpected end-of-file", "Nix daemon disconnected", "Broken pipe", "Connection reset", "Connection timed out"];

/// One derivation that was built, or is being built.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// When it began, since the start of the whole.
    pub started: Duration,
    /// When it ended; `None` while it runs.
    pub ended: Option<Duration>,
    /// The phase it is in, where the builder tells.
    pub phase: Option<String>,
    /// Its last lines.
    pub tail: VecDeque<String>,
    /// What the stage warned of, of the first [`WARNINGS`] lines that do.
    pub warnings: Vec<String>,
    /// The remote machine, empty for this one.
    pub machine: String,
    /// Nix's words about its failure.
    pub failure: Option<String>,
    /// Nix's words about the connection to its machine, where it failed because that broke.
    pub lost: Option<String>,
}

/// Collects events.
#[derive(Debug, Default)]
pub struct Watch {
    running: BTreeMap<u64, String>,
    builds: BTreeMap<String, Build>,
    fetched: BTreeMap<String, String>,
    errors: Vec<String>,
    transcript: String,
    stopped: Option<String>,
    just_ended: Option<String>,
    just_started: Option<String>,
    loss: Option<String>,
}

impl Watch {
    /// Takes the next event, which came at `now` since the start.
    pub fn take(&mut self, event: &Event, now: Duration) {
        // Whether it failed, 2.8 and 2.26 say before a build stops, 2.34 right after: its end is told with
        // the event behind it.
        self.just_ended = self.stopped.take();
        self.just_started = None;
        match event {
            Event::BuildStarted { id, drv, machine } => {
                // Told twice by a remote build. What was lost with one machine starts again, here or on another.
                let runs = self.runs(drv);
                self.running.insert(*id, drv.clone());
                let build =
                    self.builds.entry(drv.clone()).or_insert_with(|| Build { started: now, ..Build::default() });
                build.ended = None;
                if !runs || !machine.is_empty() {
                    if !runs || build.machine != *machine {
                        self.just_started = Some(drv.clone());
                        // That one builder could not be reached says nothing of the next one.
                        self.loss = None;
                    }
                    build.machine.clone_from(machine);
                }
            }
            Event::FetchStarted { path, from, .. } => {
                self.fetched.insert(path.clone(), from.clone());
            }
            Event::Phase { id, phase } => {
                if let Some(build) = self.of_activity(*id) {
                    build.phase = Some(phase.clone());
                }
            }
            Event::LogLine { id, line } => {
                if let Some(build) = self.of_activity(*id).filter(|_| !line.ends_with(BASH_NOISE)) {
                    if build.tail.len() == TAIL {
                        build.tail.pop_front();
                    }
                    build.tail.push_back(line.clone());
                    if let Some(text) = warning_in(line).filter(|_| build.warnings.len() < WARNINGS) {
                        build.warnings.push(text.to_owned());
                    }
                }
            }
            Event::Stopped { id } => {
                if let Some(drv) = self.running.remove(id)
                    && !self.runs(&drv)
                    && let Some(build) = self.builds.get_mut(&drv)
                {
                    build.ended = Some(now);
                    self.stopped = Some(drv);
                }
            }
            Event::Message { level: 0, text } | Event::Text(text) => {
                self.transcript.push_str(text);
                self.transcript.push('\n');
                if matches!(event, Event::Message { .. }) {
                    self.error(text);
                }
            }
            Event::Message { .. } | Event::Other => {}
        }
    }

    /// A derivation that was started, by its path.
    pub fn build(&self, drv: &str) -> Option<&Build> {
        self.builds.get(drv)
    }

    /// The derivation an activity builds, while it runs.
    pub fn drv_of(&self, id: u64) -> Option<&str> {
        self.running.get(&id).map(String::as_str)
    }

    fn runs(&self, drv: &str) -> bool {
        self.running.values().any(|running| running == drv)
    }

    /// The build whose start, or whose machine, the last event made known.
    pub fn just_started(&self) -> Option<(&str, &Build)> {
        let (drv, build) = self.builds.get_key_value(self.just_started.as_ref()?)?;
        Some((drv, build))
    }

    /// The build whose end the last event made known, and how long it took.
    pub fn just_ended(&self) -> Option<(&str, Duration)> {
        let (drv, build) = self.builds.get_key_value(self.just_ended.as_ref()?)?;
        Some((drv, build.ended?.saturating_sub(build.started)))
    }

    /// The cache a store path came from.
    pub fn fetched_from(&self, path: &str) -> Option<&str> {
        self.fetched.get(path).map(String::as_str)
    }

    /// The derivations whose own build failed, not those that only needed one.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &Build)> {
        self.builds.iter().filter(|(_, build)| build.failure.is_some()).map(|(drv, build)| (drv.as_str(), build))
    }

    /// Nix's error messages in order.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Nix's errors and what it wrote that is no event: to find a cause where no build failed.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Notes that a build ended well and Nix did not take its outputs: no event tells of which build that was.
    pub fn refuse(&mut self, drv: &str) {
        let words = self.errors.first().cloned().unwrap_or_default();
        if let Some(build) = self.builds.get_mut(drv) {
            build.failure = Some(words);
        }
    }

    fn of_activity(&mut self, id: u64) -> Option<&mut Build> {
        self.builds.get_mut(self.running.get(&id)?)
    }

    fn error(&mut self, text: &str) {
        let text = text.trim_start_matches("error:").trim().to_owned();
        // What could not be fetched, or no machine takes (2.34), was not built: no stage failed.
        if !text.starts_with("some substitutes for the outputs of derivation")
            && !text.contains("Reason: local builds are disabled")
            && !is_about_an_input(&text)
            && let Some(drv) = quoted_drv(&text)
        {
            let build = self.builds.entry(drv.to_owned()).or_default();
            build.failure = Some(reason(&text));
            if !build.machine.is_empty() {
                build.lost = self.loss.take();
            }
        } else if LOSSES.iter().any(|words| text.contains(words)) {
            self.loss = Some(text.clone());
        }
        self.errors.push(text);
    }
}

/// The text of the warning that a line of a stage's log is: `phasesplit: PKG: stage S: warning: TEXT`, as `phasesplit_warn`
/// in `nix-lib/runtime/10-options.sh` writes it.
pub fn warning_in(line: &str) -> Option<&str> {
    let (head, text) = line.strip_prefix("phasesplit: ")?.split_once(": warning: ")?;
    head.contains(": stage ").then_some(text)
}

/// Whether Nix says of a derivation only that an input of it failed: "1 dependencies of derivation
/// 'X.drv' failed to build" (2.8, 2.26), "Cannot build 'X.drv'.\nReason: 1 dependency failed." (2.34).
fn is_about_an_input(text: &str) -> bool {
    // Names, which are quoted or stand behind "Output paths:", may hold any word.
    let head = text.split("Output paths:").next().unwrap_or(text);
    head.split('\'').step_by(2).any(|words| words.contains("dependenc"))
}

/// Why a build failed: all of "builder for 'X.drv' failed with exit code 3" (2.8, 2.26), and the reason in
/// 2.34's "Cannot build 'X.drv'.\nReason: builder failed with exit code 3.\nOutput paths: …".
fn reason(text: &str) -> String {
    let Some((_, reason)) = text.split_once('\n').and_then(|(_, rest)| rest.split_once("Reason: ")) else {
        return text.to_owned();
    };
    let reason = reason.split("Output paths:").next().unwrap_or(reason).trim();
    let lines: Vec<&str> = reason.lines().map(str::trim).collect();
    lines.join("\n").trim_end_matches('.').to_owned()
}

/// The first `'….drv'` in a message.
fn quoted_drv(text: &str) -> Option<&str> {
    text.split('\'')
        .skip(1)
        .step_by(2)
        .find(|word| word.starts_with('/') && Path::new(word).extension().is_some_and(|extension| extension == "drv"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::events::parse;

    fn watch(log: &str) -> Watch {
        let mut watch = Watch::default();
        for (second, line) in (0_u64..).zip(log.lines()) {
            watch.take(&parse(line), Duration::from_secs(second));
        }
        watch
    }

    /// Of the same chain: `unpack`, `build`, which fails with 3, `finish`.
    const FAILURES: [(&str, &str); 3] = [
        ("2.8", include_str!("../../tests/fixtures/nix-log/2.8-second-fails.txt")),
        ("2.26", include_str!("../../tests/fixtures/nix-log/2.26-second-fails.txt")),
        ("2.34", include_str!("../../tests/fixtures/nix-log/2.34-second-fails.txt")),
    ];

    #[test]
    fn a_recorded_failure_of_each_version() {
        for (version, log) in FAILURES {
            let watch = watch(log);
            let failed: Vec<_> = watch.failed().collect();
            assert_eq!(failed.len(), 1, "{version}");
            let (drv, build) = failed[0];
            assert!(drv.ends_with("-nbtest-phase-build.drv"), "{version}: {drv}");
            assert_eq!(build.phase.as_deref(), Some("buildPhase"), "{version}");
            assert_eq!(build.tail.iter().take(2).collect::<Vec<_>>(), ["hello build", "err"], "{version}");
            let failure = build.failure.as_deref().unwrap_or_default();
            assert!(failure.ends_with("failed with exit code 3") && !failure.contains('\n'), "{version}: {failure}");
            let unpack = watch.builds.iter().find(|(drv, _)| drv.contains("unpack")).map(|(_, build)| build);
            assert!(unpack.is_some_and(|b| b.failure.is_none() && b.ended > Some(b.started)), "{version}");
            assert!(!watch.builds.keys().any(|drv| drv.contains("finish")), "{version}: finish never started");
        }
    }

    #[test]
    fn an_end_is_told_when_it_is_known_whether_it_failed() {
        for (version, log) in FAILURES {
            let mut watch = Watch::default();
            let mut ends = Vec::new();
            for line in log.lines() {
                watch.take(&parse(line), Duration::ZERO);
                if let Some((drv, _)) = watch.just_ended() {
                    ends.push((drv.contains("-build"), watch.build(drv).is_some_and(|b| b.failure.is_some())));
                }
            }
            assert_eq!(ends, [(false, false), (true, true)], "{version}");
        }
    }

    #[test]
    fn what_could_not_be_fetched_is_no_failed_build() {
        // The words of 2.8, 2.26 and 2.34.
        let text = "error: some substitutes for the outputs of derivation '/nix/store/a-x.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source ";
        let mut watch = Watch::default();
        watch.take(&Event::Message { level: 0, text: text.to_owned() }, Duration::ZERO);
        assert_eq!(watch.failed().count(), 0);
        assert!(watch.transcript().contains("some substitutes"));
        let text = "error: Cannot build '/nix/store/a-x.drv'.\n       Reason: local builds are disabled (max-jobs = 0)\n       Hint: set 'max-jobs'";
        watch.take(&Event::Message { level: 0, text: text.to_owned() }, Duration::ZERO);
        assert_eq!(watch.failed().count(), 0);
    }

    #[test]
    fn a_name_is_not_taken_for_nixs_words() {
        let message = |text: &str| {
            let mut watch = Watch::default();
            watch.take(&Event::Message { level: 0, text: text.to_owned() }, Duration::ZERO);
            watch.failed().map(|(_, build)| build.failure.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        let old = "builder for '/nix/store/a-dependency-graph.drv' failed with exit code 1";
        assert_eq!(message(&format!("error: {old}")), [old]);
        let new = "error: Cannot build '/nix/store/a-dependency-graph.drv'.\n       Reason: builder failed with exit code 1.\n       Output paths:\n         /nix/store/b-dependency-graph";
        assert_eq!(message(new), ["builder failed with exit code 1"]);
    }

    #[test]
    fn warnings_of_a_stage_are_kept_whatever_comes_after_them() {
        let line = |text: &str| {
            let text = serde_json::Value::from(text);
            format!(r#"@nix {{"action":"result","fields":[{text}],"id":1,"type":101}}"#)
        };
        let mut log = vec![
            r#"@nix {"action":"start","fields":["/nix/store/a-x.drv","",1,1],"id":1,"type":105}"#.to_owned(),
            line("phasesplit: x-1: stage build: warning: left in /tmp: a: warning: b"),
            line("phasesplit: x-1: stage build: no warning: this"),
            line("phasesplit: warning: of no stage"),
            line(" phasesplit: x-1: stage build: warning: quoted"),
        ];
        log.extend((0..TAIL).map(|at| line(&at.to_string())));
        log.extend((0..2 * WARNINGS).map(|at| line(&format!("phasesplit: x-1: stage build: warning: {at}"))));
        let watch = watch(&log.join("\n"));
        let warnings = &watch.build("/nix/store/a-x.drv").expect("started").warnings;
        assert_eq!(warnings[..2], ["left in /tmp: a: warning: b", "0"]);
        assert_eq!(warnings.len(), WARNINGS);
    }

    #[test]
    fn a_remote_build_is_counted_once() {
        let log = concat!(
            r#"@nix {"action":"start","fields":["/nix/store/a-x.drv","",1,1],"id":1,"type":105}"#,
            "\n",
            r#"@nix {"action":"start","fields":["/nix/store/a-x.drv","ssh://m",1,1],"id":2,"type":105}"#,
            "\n",
            r#"@nix {"action":"stop","id":1}"#,
            "\n",
            r#"@nix {"action":"stop","id":2}"#
        );
        let watch = watch(log);
        let build = watch.build("/nix/store/a-x.drv").expect("started");
        assert_eq!((build.started.as_secs(), build.ended.map(|e| e.as_secs())), (0, Some(3)));
        assert_eq!(build.machine, "ssh://m");
    }

    #[test]
    fn a_machine_that_was_lost_is_told_from_a_build_that_failed() {
        let start = r#"@nix {"action":"start","fields":["/nix/store/a-x.drv","ssh://m",1,1],"id":1,"type":105}"#;
        let error = |text: &str| format!("@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: {text}\"}}");
        let failed = error("builder for '/nix/store/a-x.drv' failed with exit code 1");
        let lost = error("unexpected end-of-file");
        let of = |lines: &[&str]| {
            let watch = watch(&lines.join("\n"));
            let build = watch.build("/nix/store/a-x.drv").expect("started");
            assert!(build.failure.is_some());
            build.lost.clone()
        };
        assert_eq!(of(&[start, &lost, &failed]).as_deref(), Some("unexpected end-of-file"));
        assert_eq!(of(&[start, &failed]), None);
        let passed_over = error("cannot build on 'ssh://l': unexpected end-of-file");
        assert_eq!(of(&[&passed_over, start, &failed]), None, "another builder took it");
        assert_eq!(of(&[start, &error("writing to file: No space left on device"), &failed]), None);
        assert_eq!(of(&[&start.replace("ssh://m", ""), &lost, &failed]), None, "it was built here");
    }

    #[test]
    fn each_start_is_told_once_and_with_the_machine_it_is_on() {
        let start = |id: u64, machine: &str| {
            format!(r#"@nix {{"action":"start","fields":["/nix/store/a-x.drv","{machine}",1,1],"id":{id},"type":105}}"#)
        };
        let stop = |id: u64| format!(r#"@nix {{"action":"stop","id":{id}}}"#);
        // On a machine, which is lost; on another, told the other way round; at last here.
        let log = [
            start(1, "ssh://m"),
            start(2, ""),
            stop(2),
            stop(1),
            start(3, ""),
            start(4, "ssh://n"),
            stop(3),
            stop(4),
            start(5, ""),
            stop(5),
            String::new(),
        ];
        let mut watch = Watch::default();
        let (mut starts, mut ends) = (Vec::new(), 0);
        for line in &log {
            watch.take(&parse(line), Duration::ZERO);
            starts.extend(watch.just_started().map(|(_, build)| build.machine.clone()));
            ends += usize::from(watch.just_ended().is_some());
        }
        assert_eq!(starts, ["ssh://m", "", "ssh://n", ""]);
        assert_eq!(ends, 1, "what starts again has not ended");
    }

    #[test]
    fn only_the_tail_is_kept() {
        let mut log = String::from(r#"@nix {"action":"start","fields":["/nix/store/a-x.drv",""],"id":1,"type":105}"#);
        let noise = "/setup: line 7: pop_var_context: head of shell_variables not a function context";
        for n in 0..100 {
            log.push_str("\n@nix {\"action\":\"result\",\"fields\":[\"line ");
            log.push_str(&n.to_string());
            log.push_str("\"],\"id\":1,\"type\":101}");
        }
        log.push_str("\n@nix {\"action\":\"result\",\"fields\":[\"");
        log.push_str(noise);
        log.push_str("\"],\"id\":1,\"type\":101}");
        let watch = watch(&log);
        let tail = &watch.build("/nix/store/a-x.drv").expect("started").tail;
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL, "line 75"));
    }
}
