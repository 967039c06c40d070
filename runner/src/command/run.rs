//! `cofferdam run`: the pipeline of a work tree, here, without a hub.

mod secrets;

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use clap::Args;
use cofferdam_git::{Git, GitError, LOCAL_OUTPUT_DIR, Limits, Snapshot, TreePath, WorkTree};
use cofferdam_pipeline::progress::BuildEnd;
use cofferdam_pipeline::{
    ChangedFiles, Outcome, PIPELINE_FILE_NAMES, Plan, Push, Resolution, resolve,
};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::secrets::SecretArgs;
use super::pushed::PushArgs;
use crate::ceiling::Ceiling;
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::local::{Asked, Facts, Kept, LocalBuild, Teller, rows};
use crate::mask::Masks;
use crate::text::printable;
use crate::view::{Event, Screen, Told, View, show, size_of};
use crate::wiring;

/// Bytes of a pipeline file that are read. The language's own bound is below it, and says so.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Exit status of a run that was cancelled: 128 + SIGINT, as shells have it.
const CANCELLED: u8 = 130;

/// Digits of a commit's id that people are shown.
const ID_CHARS_SHOWN: usize = 10;

/// How long the end waits for what is still being tidied up.
const TIDY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    push: PushArgs,

    /// Run this commit, exactly, and not what lies in the work tree
    #[arg(long, value_name = "REVISION")]
    commit: Option<String>,

    /// Run only the step of this name
    #[arg(long, value_name = "NAME")]
    step: Option<String>,

    /// What changed since this commit decides conditions on changed files [default: what was not pushed yet]
    #[arg(long, value_name = "REVISION")]
    since: Option<String>,

    #[command(flatten)]
    secrets: SecretArgs,

    /// Every line as it comes, each with its step's name; the default where there is no terminal
    #[arg(long, conflicts_with = "events")]
    plain: bool,

    /// What happens, for scripts: one JSON object a line
    #[arg(long, value_name = "FORMAT")]
    events: Option<EventFormat>,

    /// The configuration of this host's executors, as for `start` [default: your own runner.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Hold the steps to the ceiling of this runner.toml [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum EventFormat {
    Json,
}

pub(super) fn run(args: &RunArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    super::start::log_to_stderr(environment, "warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(args, environment));
    // A question that nobody answered would hold the end up.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &RunArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let cancel = CancellationToken::new();
    let git = Git::find(&environment.search_path()).context("there is no git on this host")?;
    let git = Git::open(&git, Limits::default()).await?;
    let tree = git
        .work_tree(Path::new("."))?
        .context("this directory is in no git work tree")?;
    let dir = place(&tree, environment);
    let head = tree.head(&cancel).await?;
    let snapshot = snapshot(args, &tree, &dir, &cancel).await?;
    let checked_out = head.as_ref().and_then(|head| head.branch.as_deref());
    let push = args.push.push(checked_out)?;
    let changed = changed(args, &tree, &snapshot, &cancel).await?;
    let Some(whole) = plan(&snapshot, &push, changed.as_deref()).await? else {
        return Ok(ExitCode::FAILURE);
    };
    let kept = kept(args, &whole, &dir)?;
    let plan = match &args.step {
        Some(step) => one_step(whole, step)?,
        None => whole,
    };
    let secrets = args.secrets.read(environment)?;
    let masks = Masks::new(&secrets).context("the secrets cannot be masked")?;
    let config = Config::load_own(args.config.as_deref(), environment)?;
    let tasks = TaskTracker::new();
    let modules = environment.module_cache_dir();
    let steps = wiring::steps(git, &config, (&dir, &modules), (environment, &tasks)).await?;
    let (told, events) = Teller::new();
    let began = told.began();
    told.tell(Event::Began {
        pipeline: plan.selected.clone(),
        commit: what(&snapshot),
        command: command(args),
        steps: rows(&plan),
    })
    .await;
    let build = LocalBuild {
        ceiling: ceiling(args, &config, environment)?,
        secrets: Arc::new(secrets),
        masks: Arc::new(masks),
        facts: Arc::new(facts(&tree, push, &snapshot, (&plan, &cancel)).await?),
        kept,
        project: tree.root().to_owned(),
        commit: snapshot.commit,
        steps: Arc::new(steps),
        slots: usize::from(config.slots),
        log_dir: log_dir(&tree)?,
        log_dir_shown: format!("{LOCAL_OUTPUT_DIR}/logs"),
        told,
        asked: Arc::new(Terminal),
        cancel: cancel.clone(),
        tasks: tasks.clone(),
        plan,
    };
    let end = until_the_end(
        async { tokio::join!(build.run(), look_on(args, environment, events, began)).0 },
        &cancel,
    )
    .await?;
    tasks.close();
    // What is left are containers that are being removed.
    let _late = tokio::time::timeout(TIDY_MAX, tasks.wait()).await;
    Ok(match end {
        BuildEnd::Passed => ExitCode::SUCCESS,
        BuildEnd::Failed | BuildEnd::Error => ExitCode::FAILURE,
        BuildEnd::Cancelled => ExitCode::from(CANCELLED),
    })
}

/// What the steps are held to.
fn ceiling(
    args: &RunArgs,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<Arc<Ceiling>> {
    Ok(Arc::new(match &args.ceiling {
        Some(named) => Config::load_own(Some(named), environment)?.ceiling,
        None => config.ceiling.clone(),
    }))
}

/// Runs to the end. The first signal cancels the build: scripts get their grace and after-scripts run. The second one
/// ends the program, and with it everything that it started.
async fn until_the_end(
    run: impl Future<Output = BuildEnd>,
    cancel: &CancellationToken,
) -> anyhow::Result<BuildEnd> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::pin!(run);
    loop {
        tokio::select! {
            end = &mut run => return Ok(end),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() {
            return Ok(BuildEnd::Cancelled);
        }
        cancel.cancel();
    }
}

/// Shows what happens on standard output, in the way that was asked for and that it is fit for.
async fn look_on(
    args: &RunArgs,
    environment: &Environment,
    events: mpsc::Receiver<Told>,
    began: Instant,
) {
    let is_terminal = io::stdout().is_terminal();
    let is_coloured = is_terminal && !environment.wants_no_colour();
    let view = match args.events {
        Some(EventFormat::Json) => View::json(),
        None if is_terminal && !args.plain => View::terminal(is_coloured),
        None => View::plain(is_coloured),
    };
    let screen = Screen {
        out: &mut io::stdout(),
        size: &|| size_of(io::stdout()),
        began,
    };
    if let Err(error) = show(view, events, screen).await {
        // `cofferdam run | head` is no reason to stop a build.
        tracing::info!(%error, "nobody looks on any more");
    }
}

/// What is run, for people.
fn what(snapshot: &Snapshot) -> String {
    let id = snapshot.commit.id().as_str();
    if snapshot.is_changed {
        "work tree".to_owned()
    } else {
        id[..ID_CHARS_SHOWN.min(id.len())].to_owned()
    }
}

/// The command line that runs the same, without `--step`.
fn command(args: &RunArgs) -> String {
    let RunArgs {
        push,
        commit,
        step: _,
        since,
        secrets,
        plain: _,
        events: _,
        config: _,
        ceiling: _,
    } = args;
    let mut line = "cofferdam run".to_owned();
    let mut words = push.words();
    for (option, value) in [("--commit", commit), ("--since", since)] {
        words.extend(value.clone().map(|value| (option, value)));
    }
    for (option, value) in words {
        line.extend([" ", option, " ", &printable(&value)]);
    }
    line.push_str(&secrets.words());
    line
}

/// A directory of ours for this work tree: snapshots, and the workspaces of steps that run.
fn place(tree: &WorkTree, environment: &Environment) -> PathBuf {
    let hash = Sha256::digest(tree.root().as_os_str().as_encoded_bytes());
    environment
        .cache_dir()
        .join("local")
        .join(&data_encoding::HEXLOWER.encode(&hash)[..16])
}

async fn snapshot(
    args: &RunArgs,
    tree: &WorkTree,
    dir: &Path,
    cancel: &CancellationToken,
) -> anyhow::Result<Snapshot> {
    let store = dir.join("snapshot");
    let taken = match &args.commit {
        None => tree.snapshot(&store, cancel).await,
        Some(revision) => {
            let commit = tree.commit_of(revision, cancel).await?.with_context(|| {
                format!("--commit {}: there is no such commit", printable(revision))
            })?;
            tree.exact(&commit, &store, cancel).await
        }
    };
    taken.map_err(|error| match error {
        GitError::MirrorBusy { .. } => {
            anyhow::anyhow!("another `cofferdam run` is at work in this work tree")
        }
        other => other.into(),
    })
}

/// The file that the hub would take of this commit.
async fn pipeline_file(snapshot: &Snapshot) -> anyhow::Result<(&'static str, Vec<u8>)> {
    for name in PIPELINE_FILE_NAMES {
        let path: TreePath = name.parse().expect("a plain name is a path");
        if let Some(source) = snapshot.commit.read_file(&path, FILE_BYTES_MAX).await? {
            return Ok((name, source));
        }
    }
    let [first, second] = PIPELINE_FILE_NAMES;
    bail!("there is neither {first} nor {second} in this work tree's root")
}

async fn changed(
    args: &RunArgs,
    tree: &WorkTree,
    snapshot: &Snapshot,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Vec<String>>> {
    let since = match &args.since {
        None => tree.pushed(cancel).await?,
        Some(revision) => Some(tree.commit_of(revision, cancel).await?.with_context(|| {
            format!("--since {}: there is no such commit", printable(revision))
        })?),
    };
    Ok(match since {
        Some(since) => tree.changed(&since, snapshot, cancel).await?,
        None => None,
    })
}

/// What is to run; `None` if the file is refused. Says what the file's reader has to say of it.
async fn plan(
    snapshot: &Snapshot,
    push: &Push,
    changed: Option<&[String]>,
) -> anyhow::Result<Option<Plan>> {
    let (name, source) = pipeline_file(snapshot).await?;
    let changed = changed.map_or(ChangedFiles::Unknown, ChangedFiles::Known);
    let Resolution {
        outcome,
        diagnostics,
    } = resolve(&source, push, changed);
    for remark in &diagnostics {
        writeln!(io::stderr(), "{}", remark.render(&source, name))?;
    }
    match outcome {
        Outcome::Planned(plan) => Ok(Some(plan)),
        Outcome::NothingSelected(why) => bail!("nothing to run: {}", printable(&why)),
        Outcome::Invalid => Ok(None),
    }
}

/// What steps keep. One step alone gets what the last run of the others left.
fn kept(args: &RunArgs, whole: &Plan, dir: &Path) -> anyhow::Result<Arc<Kept>> {
    let is_fresh = args.step.is_none();
    let kept = Kept::open(dir, whole, is_fresh, Arc::new(SystemClock))
        .with_context(|| format!("could not use {}", dir.display()))?;
    Ok(Arc::new(kept))
}

/// Leaves the one step of this name in the plan.
fn one_step(mut plan: Plan, name: &str) -> anyhow::Result<Plan> {
    let names: Vec<String> = plan
        .jobs
        .iter()
        .flat_map(|job| job.steps.iter().map(|step| printable(&step.name)))
        .collect();
    let mut found = std::mem::take(&mut plan.jobs)
        .into_iter()
        .filter_map(|mut job| {
            job.steps.retain(|step| step.name == name);
            job.needs.clear();
            (!job.steps.is_empty()).then_some(job)
        });
    let Some(mut job) = found.next() else {
        bail!(
            "there is no step {:?} in {}; there are: {}",
            printable(name),
            plan.selected,
            names.join(", ")
        );
    };
    if job.steps.len() > 1 || found.next().is_some() {
        bail!("more than one step is called {:?}", printable(name));
    }
    job.steps.truncate(1);
    plan.jobs = vec![job];
    Ok(plan)
}

/// What steps may know of the build. The owner and the name are those of the remote, if there is one.
async fn facts(
    tree: &WorkTree,
    push: Push,
    snapshot: &Snapshot,
    (plan, cancel): (&Plan, &CancellationToken),
) -> anyhow::Result<Facts> {
    let origin = tree.origin(cancel).await?;
    let mut names = origin
        .as_deref()
        .map(|url| url.trim_end_matches('/').trim_end_matches(".git"))
        .unwrap_or_default()
        .rsplit(['/', ':'])
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    let slug = names
        .next()
        .or_else(|| Some(tree.root().file_name()?.to_str()?.to_owned()))
        .unwrap_or_default();
    Ok(Facts {
        commit: snapshot.commit.id().as_str().to_owned(),
        reference: push.reference,
        owner: names.next().unwrap_or_default(),
        slug,
        custom: plan.variables.clone(),
    })
}

/// A fresh directory for the logs of this run; those of the last one are removed.
fn log_dir(tree: &WorkTree) -> anyhow::Result<PathBuf> {
    let output = tree.root().join(LOCAL_OUTPUT_DIR);
    let logs = output.join("logs");
    // The repository may hold a link of that name, to anywhere.
    if fs::symlink_metadata(&output).is_ok_and(|found| !found.is_dir()) {
        bail!("{} is not a directory", output.display());
    }
    let made = || {
        fs::create_dir_all(&output)?;
        match fs::remove_dir_all(&logs) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&logs)
    };
    made().with_context(|| format!("could not make {}", logs.display()))?;
    Ok(logs)
}

/// Asks whoever sits at the terminal; where there is none, a manual step is not started.
#[derive(Debug)]
struct Terminal;

#[async_trait]
impl Asked for Terminal {
    async fn may_start(&self, step: &str) -> bool {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return false;
        }
        let question = format!("start the manual step {:?}? [y/N] ", printable(step));
        let answered = tokio::task::spawn_blocking(move || {
            write!(io::stderr(), "{question}")?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            Ok::<_, io::Error>(matches!(answer.trim(), "y" | "Y" | "yes"))
        });
        matches!(answered.await, Ok(Ok(true)))
    }
}
