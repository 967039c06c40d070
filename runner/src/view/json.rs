//! The view for a program: one JSON object per line. [`Json`] lists the fields.

use std::io;
use std::time::Duration;

use cofferdam_protocol::Origin;
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use super::event::{Event, Outcome, Row, RunState};
use super::text::steers;

/// The version of what [`Json`] lists; another number breaks readers.
const FORMAT: u32 = 1;

/// A run told to a program.
///
/// Every object has `at_ms`, milliseconds since the run began, and `event`. New fields and new events may be
/// added; what is listed here stays. A field that does not apply is `null`. `step` is a step's index.
///
/// | `event` | further fields |
/// |---|---|
/// | `began` | `format` (1), `pipeline`, `commit`, `command`, `steps`: `step`, `name`, `stage`, `group`, `runs` |
/// | `step-started` | `step` |
/// | `log` | `step`, `origin` (`system`, `stdout`, `stderr`), `text`, `base64` |
/// | `step-ended` | `step`, `outcome`, `exit`, `why`, `line`, `log` |
/// | `waiting` | `step`, `why` |
/// | `asked` | `step` |
/// | `artifact` | `step`, `path`, `bytes` |
/// | `cancelling` | |
/// | `ended` | `state` (`passed`, `failed`, `error`, `cancelled`) |
///
/// `outcome` is `passed`, `failed`, `error`, `cancelled`, `skipped`, `not-run` or `unsupported`; `why` says
/// more, for `unsupported` what is not supported, asked for in `line` of the file. `log` is the path of the
/// whole log. The `text` of a log is what was written, not split into lines; where the bytes are not UTF-8,
/// perhaps because a character was written in two halves, `text` holds U+FFFD for what is none, and `base64`
/// all the bytes. So that the lines can be looked at on a terminal, what one would obey is written as `\u`
/// escapes, which a JSON reader turns back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Json {
    /// The line for an event.
    pub fn apply(self, at: Duration, event: &Event) -> String {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let mut line = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, Harmless);
        let wire = Wire {
            at_ms,
            event: to_wire(event),
        };
        let written = wire.serialize(&mut serializer);
        debug_assert!(written.is_ok(), "text and numbers are JSON: {written:?}");
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    at_ms: u64,
    #[serde(flatten)]
    event: WireEvent<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum WireEvent<'a> {
    Began {
        format: u32,
        pipeline: &'a str,
        commit: &'a str,
        command: Option<&'a str>,
        steps: Vec<WireRow<'a>>,
    },
    StepStarted {
        step: u16,
    },
    Log {
        step: u16,
        origin: Origin,
        text: String,
        base64: Option<String>,
    },
    StepEnded {
        step: u16,
        outcome: &'static str,
        exit: Option<i32>,
        why: Option<&'a str>,
        line: Option<u32>,
        log: Option<&'a str>,
    },
    Waiting {
        step: u16,
        why: &'a str,
    },
    Asked {
        step: u16,
    },
    Artifact {
        step: u16,
        path: &'a str,
        bytes: u64,
    },
    Cancelling,
    Ended {
        state: &'static str,
    },
}

#[derive(Serialize)]
struct WireRow<'a> {
    step: u16,
    name: &'a str,
    stage: Option<&'a str>,
    group: Option<u16>,
    runs: &'a str,
}

fn to_wire(event: &Event) -> WireEvent<'_> {
    match event {
        Event::Began {
            pipeline,
            commit,
            commands,
            steps,
        } => WireEvent::Began {
            format: FORMAT,
            pipeline,
            commit,
            command: commands.again(),
            steps: steps.iter().map(to_wire_row).collect(),
        },
        Event::StepStarted { index } => WireEvent::StepStarted { step: *index },
        Event::Log {
            index,
            origin,
            bytes,
        } => WireEvent::Log {
            step: *index,
            origin: *origin,
            text: String::from_utf8_lossy(bytes).into_owned(),
            base64: str::from_utf8(bytes).is_err().then(|| BASE64.encode(bytes)),
        },
        Event::StepEnded {
            index,
            outcome,
            log,
        } => ended_to_wire(*index, outcome, log.as_deref()),
        Event::Waiting { index, why } => WireEvent::Waiting { step: *index, why },
        Event::Asked { index } => WireEvent::Asked { step: *index },
        Event::Artifact { index, path, bytes } => WireEvent::Artifact {
            step: *index,
            path,
            bytes: *bytes,
        },
        Event::Cancelling => WireEvent::Cancelling,
        Event::Ended { state } => WireEvent::Ended {
            state: match state {
                RunState::Passed => "passed",
                RunState::Failed => "failed",
                RunState::Error => "error",
                RunState::Cancelled => "cancelled",
            },
        },
    }
}

fn to_wire_row(row: &Row) -> WireRow<'_> {
    let Row {
        index,
        name,
        stage,
        group,
        what,
    } = row;
    WireRow {
        step: *index,
        name,
        stage: stage.as_deref(),
        group: *group,
        runs: what,
    }
}

fn ended_to_wire<'a>(step: u16, outcome: &'a Outcome, log: Option<&'a str>) -> WireEvent<'a> {
    let (outcome, exit, why, line) = match outcome {
        Outcome::Passed => ("passed", None, None, None),
        Outcome::Failed { exit, why } => ("failed", *exit, Some(why), None),
        Outcome::Error { why } => ("error", None, Some(why), None),
        Outcome::Cancelled { why } => ("cancelled", None, Some(why), None),
        Outcome::Skipped { why } => ("skipped", None, Some(why), None),
        Outcome::NotRun { why } => ("not-run", None, Some(why), None),
        Outcome::Unsupported { what, line } => ("unsupported", None, Some(what), Some(*line)),
    };
    WireEvent::StepEnded {
        step,
        outcome,
        exit,
        why: why.map(String::as_str).filter(|why| !why.is_empty()),
        line,
        log,
    }
}

/// Compact JSON in which nothing steers a terminal.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| c.is_control() || steers(c)) {
            let (plain, from) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut characters = from.chars();
            for unit in characters
                .by_ref()
                .take(1)
                .collect::<String>()
                .encode_utf16()
            {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
