//! The lines Nix writes with `--log-format internal-json`: each `@nix {…}` on standard error.
//!
//! The numbers of builds, phases and log lines were seen in logs of 2.8, 2.26 and 2.34; those of fetched paths
//! (100, 108) are Nix's `ActivityType` and not yet seen here. Reading is total: what is not known is
//! [`Event::Other`] or [`Event::Text`].

use serde::Deserialize;

use super::error::strip_ansi;

const ACTIVITY_COPY_PATH: u64 = 100;
const ACTIVITY_BUILD: u64 = 105;
const ACTIVITY_SUBSTITUTE: u64 = 108;
const RESULT_LOG_LINE: u64 = 101;
const RESULT_PHASE: u64 = 104;

/// One line of a build, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A derivation is being built (a remote build says so twice, with and without `machine`).
    BuildStarted {
        /// The activity that later events refer to.
        id: u64,
        /// Path of the `.drv`.
        drv: String,
        /// The remote machine, empty for this one.
        machine: String,
    },
    /// A path comes from a cache.
    FetchStarted {
        /// The activity.
        id: u64,
        /// The store path.
        path: String,
        /// The cache it comes from.
        from: String,
    },
    /// The builder entered a phase.
    Phase {
        /// The build's activity.
        id: u64,
        /// The phase's name.
        phase: String,
    },
    /// The builder wrote a line.
    LogLine {
        /// The build's activity.
        id: u64,
        /// The line, colours kept.
        line: String,
    },
    /// An activity ended, well or not.
    Stopped {
        /// The activity.
        id: u64,
    },
    /// Nix speaks; level 0 is an error, 1 a warning, 3 what it would print without being asked.
    Message {
        /// Nix's verbosity level.
        level: u64,
        /// The text without colours.
        text: String,
    },
    /// A line that is not an event.
    Text(String),
    /// An event that is of no use here.
    Other,
}

#[derive(Deserialize)]
struct Raw {
    action: String,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    r#type: u64,
    #[serde(default)]
    level: u64,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    fields: Vec<serde_json::Value>,
}

/// Reads one line of a build's standard error.
pub fn parse(line: &str) -> Event {
    let Some(json) = line.strip_prefix("@nix ") else {
        return Event::Text(line.to_owned());
    };
    let Ok(mut raw) = serde_json::from_str::<Raw>(json) else {
        return Event::Text(line.to_owned());
    };
    let mut field = |at: usize| match raw.fields.get_mut(at).map(serde_json::Value::take) {
        Some(serde_json::Value::String(text)) => text,
        _ => String::new(),
    };
    let id = raw.id;
    match (raw.action.as_str(), raw.r#type) {
        ("start", ACTIVITY_BUILD) => Event::BuildStarted { id, drv: field(0), machine: field(1) },
        ("start", ACTIVITY_SUBSTITUTE | ACTIVITY_COPY_PATH) => {
            Event::FetchStarted { id, path: field(0), from: field(1) }
        }
        ("result", RESULT_PHASE) => Event::Phase { id, phase: field(0) },
        ("result", RESULT_LOG_LINE) => Event::LogLine { id, line: field(0) },
        ("stop", _) => Event::Stopped { id },
        ("msg", _) => Event::Message { level: raw.level, text: strip_ansi(&raw.msg) },
        _ => Event::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_real_build() {
        assert_eq!(
            parse(
                r#"@nix {"action":"start","fields":["/nix/store/q-x-phase-unpack.drv","",1,1],"id":7,"level":3,"text":"building","type":105}"#
            ),
            Event::BuildStarted { id: 7, drv: "/nix/store/q-x-phase-unpack.drv".into(), machine: String::new() }
        );
        assert_eq!(
            parse(r#"@nix {"action":"result","fields":["buildPhase"],"id":7,"type":104}"#),
            Event::Phase { id: 7, phase: "buildPhase".into() }
        );
        assert_eq!(
            parse(r#"@nix {"action":"result","fields":["err"],"id":7,"type":101}"#),
            Event::LogLine { id: 7, line: "err".into() }
        );
        assert_eq!(parse(r#"@nix {"action":"result","fields":[1,3,0,0],"id":2,"type":105}"#), Event::Other);
        assert_eq!(parse(r#"@nix {"action":"stop","id":7}"#), Event::Stopped { id: 7 });
        assert_eq!(
            parse(
                r#"@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder failed","raw_msg":"builder failed"}"#
            ),
            Event::Message { level: 0, text: "error: builder failed".into() }
        );
    }

    #[test]
    fn what_is_no_event_stays_text() {
        for line in ["", "plain", "@nix", "@nix {", "@nix []", "@nix {\"action\":3}"] {
            assert_eq!(parse(line), Event::Text(line.to_owned()));
        }
        assert_eq!(
            parse(r#"@nix {"action":"start","type":105,"id":1}"#),
            Event::BuildStarted { id: 1, drv: String::new(), machine: String::new() }
        );
    }
}
