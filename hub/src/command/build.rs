//! `build`: what became of pushes.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use cofferdam_protocol::Origin;
use data_encoding::BASE64;

use super::HubWentAway;
use super::ask::{NoAnswer, get, post, print, print_json, segment};
use super::build_text;
use super::log_text::LogText;
use crate::control::view::{
    AnswerStep, Answered, BuildDetail, BuildView, Cancelled, LogView, RecordView, StepName,
};

#[derive(Debug, Subcommand)]
pub(super) enum BuildVerb {
    /// List the newest builds
    List {
        /// Of this repository only
        repository: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a build: its steps, how they ended, and why it waits
    Show {
        #[command(flatten)]
        which: Which,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a build's log: `▌` begins a line of Cofferdam, `│` one of a step
    ///
    /// Ends with status 0 however the build ended, and with 75 when the hub went away while the log was followed.
    Logs {
        /// Go on until the build has ended
        #[arg(short, long)]
        follow: bool,
        /// Print the bytes of this step alone, as it wrote them; steps count from 1
        #[arg(long, value_name = "STEP")]
        raw: Option<u16>,
        #[command(flatten)]
        which: Which,
    },
    /// Cancel a build
    ///
    /// A final step runs all the same. Once nothing else is left of the build, cancelling it again stops that too.
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Start a step that waits for a person
    Start {
        #[command(flatten)]
        which: Which,
        /// The step's number, as `build show` counts, or its name
        step: String,
    },
    /// Decline a step that waits for a person: it is not run, nor is what comes after it
    Decline {
        #[command(flatten)]
        which: Which,
        /// The step's number, as `build show` counts, or its name
        step: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The repository's name on the hub
    repository: String,
    /// The build's number
    number: u64,
}

impl Which {
    fn path(&self) -> anyhow::Result<String> {
        Ok(format!(
            "/builds/{}/{}",
            segment(&self.repository)?,
            self.number
        ))
    }
}

impl BuildVerb {
    pub(super) async fn run(self, data: &Path) -> anyhow::Result<()> {
        match self {
            Self::List { repository, json } => {
                let path = match &repository {
                    Some(name) => format!("/builds?repository={}", segment(name)?),
                    None => "/builds".to_owned(),
                };
                let all: Vec<BuildView> = get(data, &path).await?;
                if json {
                    return print_json(&all);
                }
                for build in &all {
                    print(format_args!("{}\n", build_text::line(build)))?;
                }
                Ok(())
            }
            Self::Show { which, json } => {
                let build: BuildDetail = get(data, &which.path()?).await?;
                if json {
                    return print_json(&build);
                }
                print(format_args!("{}", build_text::page(&build)))
            }
            Self::Logs { follow, raw, which } => logs(data, &which.path()?, raw, follow).await,
            Self::Cancel { which } => {
                let path = format!("{}/cancel", which.path()?);
                let cancelled: Cancelled = post(data, &path, &()).await?;
                print(format_args!("{}\n", build_text::cancelled(&cancelled)))
            }
            Self::Start { which, step } => {
                let answered = answer(data, &which, "start", step).await?;
                print(format_args!("{}\n", build_text::started(&answered)))
            }
            Self::Decline { which, step } => {
                let answered = answer(data, &which, "decline", step).await?;
                print(format_args!("{}\n", build_text::declined(&answered)))
            }
        }
    }
}

async fn answer(data: &Path, which: &Which, verb: &str, step: String) -> anyhow::Result<Answered> {
    let path = format!("{}/{verb}", which.path()?);
    post(data, &path, &AnswerStep { step }).await
}

/// What a log is turned into.
enum Printer {
    Text(LogText),
    /// The bytes of one step, by its index.
    Raw(u16),
}

async fn logs(data: &Path, path: &str, raw: Option<u16>, is_followed: bool) -> anyhow::Result<()> {
    let steps: Vec<StepName> = get(data, &format!("{path}/steps")).await?;
    let mut printer = match raw {
        None => {
            let names = steps.into_iter().map(|step| (step.index, step.name));
            Printer::Text(LogText::new(names.collect()))
        }
        Some(number) => {
            let index = number.checked_sub(1);
            let known = steps
                .iter()
                .map(|step| step.index)
                .find(|known| Some(*known) == index);
            Printer::Raw(known.with_context(|| format!("the build has no step {number}"))?)
        }
    };
    let mut cursor = 0;
    let mut told = Vec::new();
    loop {
        let knows = !told.is_empty();
        let query = format!("{path}/logs?cursor={cursor}&wait={is_followed}&knows={knows}");
        let page: LogView = match get(data, &query).await {
            Err(error) if is_followed && error.is::<NoAnswer>() => {
                return Err(error.context(HubWentAway));
            }
            answered => answered?,
        };
        let is_end = page.records.is_empty() && (page.is_over || !is_followed);
        let cursor_is_at_end = page.records.is_empty();
        cursor = page.next;
        let mut bytes = Vec::new();
        for record in page.records {
            printer.take(&record, &mut bytes)?;
        }
        // What people are to do is said once, and again when it is something else.
        if cursor_is_at_end && let Printer::Text(text) = &mut printer {
            for sentence in page.waits.iter().filter(|said| !told.contains(*said)) {
                text.note(sentence, &mut bytes);
            }
            told = page.waits;
        }
        if is_end && let Printer::Text(text) = &mut printer {
            text.end(&mut bytes);
        }
        if !write(&bytes)? || is_end {
            return Ok(());
        }
    }
}

impl Printer {
    fn take(&mut self, record: &RecordView, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let Ok(bytes) = BASE64.decode(record.bytes.as_bytes()) else {
            bail!("the hub's answer is of another version");
        };
        match self {
            Self::Text(text) => {
                text.take(&record.attempt, (record.step, record.origin), &bytes, out);
            }
            Self::Raw(step) => {
                if record.step == *step && record.origin != Origin::System {
                    out.extend_from_slice(&bytes);
                }
            }
        }
        Ok(())
    }
}

/// Writes bytes to standard output; `false` when nobody reads any more.
fn write(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("could not write to standard output"),
    }
}
