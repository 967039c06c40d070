//! `cofferdam run`: the pipeline of a work tree, here, without a hub.

mod output;
mod person;
mod pick;
mod secrets;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use cofferdam_git::{Git, GitError, LOCAL_OUTPUT_DIR, Limits, Snapshot, TreePath, WorkTree};
use cofferdam_pipeline::progress::BuildEnd;
use cofferdam_pipeline::{
    ChangedFiles, Outcome, PIPELINE_FILE_NAMES, Plan, Push, Resolution, resolve,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::person::Person;
use self::pick::one_step;
use self::secrets::SecretArgs;
use super::pushed::PushArgs;
use crate::ceiling::Ceiling;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Environment};
use crate::local::{Facts, Kept, LocalBuild, Place, Teller, rows};
use crate::mask::Masks;
use crate::text::printable;
use crate::view::{Commands, Event, Screen, Told, View, show, size_of};
use crate::wiring;

/// Bytes of a pipeline file that are read. The language's own bound is below it, and says so.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Exit status of a run that was cancelled: 128 + SIGINT, as shells have it.
const CANCELLED: u8 = 130;

/// Digits of a commit's id that people are shown.
const ID_CHARS_SHOWN: usize = 10;

/// How long the end waits for what is still being tidied up: an engine that is busy takes some seconds to remove a
/// container. What is left then the next run removes.
const TIDY_MAX: Duration = Duration::from_secs(15);

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
    let Some(chosen) = Chosen::by(args, &git, environment, &cancel).await? else {
        return Ok(ExitCode::FAILURE);
    };
    let secrets = args.secrets.read(environment)?;
    let masks = Masks::new(&secrets).context("the secrets cannot be masked")?;
    let place = &chosen.place;
    let config = Config::load_own(args.config.as_deref(), environment)?;
    // From here on something of the last run may be removed, so what is wrong with the arguments was said before.
    let commands = commands(args);
    let kept = kept(args, &chosen, &commands)?;
    let log_dir = output::prepare(chosen.tree.root(), args.step.is_none())?;
    let tasks = TaskTracker::new();
    let modules = environment.module_cache_dir();
    let own = (environment, &tasks);
    // Held to the end: an engine that we started goes with it, and could remove nothing any more.
    let runner = Arc::new(wiring::steps(git, &config, (place.path(), &modules), own).await?);
    let (told, events) = Teller::new();
    let began = told.began();
    told.tell(Event::Began {
        pipeline: chosen.plan.selected.clone(),
        commit: what(&chosen.snapshot),
        commands,
        steps: rows(&chosen.plan),
    })
    .await;
    let build = LocalBuild {
        ceiling: ceiling(args, &config, environment)?,
        secrets: Arc::new(secrets),
        masks: Arc::new(masks),
        facts: Arc::new(facts(&chosen, &cancel).await?),
        kept,
        project: chosen.tree.root().to_owned(),
        commit: chosen.snapshot.commit.clone(),
        base: chosen.snapshot.base.clone(),
        steps: Arc::clone(&runner),
        run: place.run().to_owned(),
        slots: usize::from(config.slots),
        log_dir,
        log_dir_shown: format!("{LOCAL_OUTPUT_DIR}/logs"),
        told,
        asked: Arc::new(Person {
            sees_the_view: args.events.is_none() && io::stdout().is_terminal(),
        }),
        cancel: cancel.clone(),
        tasks: tasks.clone(),
        plan: chosen.plan.clone(),
    };
    // In a task of its own: a terminal that the user stopped stops whoever writes to it.
    let looking_on = tasks.spawn(look_on(view(args, environment), events, began));
    let run = async {
        let end = build.run().await;
        // A panic in there was told where it happened.
        let _shown = looking_on.await;
        end
    };
    let mut signals = Signals::new()?;
    let end = until_the_end(run, &mut signals, &cancel).await;
    tasks.close();
    tokio::select! {
        // What is left are containers that are being removed.
        _late = tokio::time::timeout(TIDY_MAX, tasks.wait()) => {}
        () = signals.next() => {}
    }
    drop(runner);
    Ok(match end {
        BuildEnd::Passed => ExitCode::SUCCESS,
        BuildEnd::Failed | BuildEnd::Error => ExitCode::FAILURE,
        BuildEnd::Cancelled => ExitCode::from(CANCELLED),
    })
}

/// What is to run, and on what.
struct Chosen {
    tree: WorkTree,
    place: Place,
    snapshot: Snapshot,
    push: Push,
    /// Before a step was picked out of it.
    whole: Plan,
    plan: Plan,
}

impl Chosen {
    /// By the arguments; `None` if the file is refused, which was said.
    async fn by(
        args: &RunArgs,
        git: &Git,
        environment: &Environment,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let tree = git
            .work_tree(Path::new("."))?
            .context("this directory is in no git work tree; `git init` makes one")?;
        let place = take_place(&tree, environment)?;
        let head = tree.head(cancel).await?;
        let snapshot = snapshot(args, &tree, place.path(), cancel).await?;
        let checked_out = head.as_ref().and_then(|head| head.branch.as_deref());
        let push = args.push.push(checked_out)?;
        let changed = changed(args, &tree, &snapshot, cancel).await?;
        let Some(whole) = plan(&snapshot, &push, changed.as_deref()).await? else {
            return Ok(None);
        };
        let plan = match &args.step {
            Some(step) => one_step(whole.clone(), step)?,
            None => whole.clone(),
        };
        Ok(Some(Self {
            tree,
            place,
            snapshot,
            push,
            whole,
            plan,
        }))
    }
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
/// kills what still runs.
async fn until_the_end(
    run: impl Future<Output = BuildEnd>,
    signals: &mut Signals,
    cancel: &CancellationToken,
) -> BuildEnd {
    tokio::pin!(run);
    loop {
        tokio::select! {
            end = &mut run => return end,
            () = signals.next() => {}
        }
        if cancel.is_cancelled() {
            return BuildEnd::Cancelled;
        }
        cancel.cancel();
    }
}

/// What asks a run to end: Ctrl-C, or whoever ends processes.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on the signals end nothing by themselves.
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The way to show a run that was asked for, and that standard output is fit for.
fn view(args: &RunArgs, environment: &Environment) -> View {
    let is_terminal = io::stdout().is_terminal();
    let is_coloured = is_terminal && !environment.wants_no_colour();
    match args.events {
        Some(EventFormat::Json) => View::json(),
        None if is_terminal && !args.plain => View::terminal(is_coloured),
        None => View::plain(is_coloured),
    }
}

/// Shows what happens on standard output.
async fn look_on(view: View, events: mpsc::Receiver<Told>, began: Instant) {
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

/// The command lines that run the same again. How it is shown is no part of them.
fn commands(args: &RunArgs) -> Commands {
    let RunArgs {
        push,
        commit,
        step,
        since,
        secrets,
        plain: _,
        events: _,
        config,
        ceiling,
    } = args;
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let (config, ceiling) = (shown(config), shown(ceiling));
    let mut words = push.words();
    for (option, value) in [
        ("--commit", commit),
        ("--since", since),
        ("--config", &config),
        ("--ceiling", &ceiling),
    ] {
        words.extend(value.clone().map(|value| (option, value)));
    }
    words.extend(secrets.words());
    Commands::of_run(&words, step.as_deref())
}

/// The directory of ours for this work tree.
fn take_place(tree: &WorkTree, environment: &Environment) -> anyhow::Result<Place> {
    let all = environment.cache_dir().join("local");
    let mut run = [0; 8];
    getrandom::fill(&mut run).context("the system gives no random bytes")?;
    let run = data_encoding::HEXLOWER.encode(&run);
    Place::take(&all, tree.root(), SystemClock.now(), run)
        .with_context(|| format!("could not use {}", all.display()))
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
    for mut remark in diagnostics {
        if remark.code == "condition-unknown" && matches!(changed, ChangedFiles::Unknown) {
            remark.help = Some("`--since REVISION` says since when to look for changes".to_owned());
        }
        writeln!(io::stderr(), "{}", remark.render(&source, name))?;
    }
    match outcome {
        Outcome::Planned(plan) => Ok(Some(plan)),
        Outcome::NothingSelected(why) => bail!("nothing to run: {}", printable(&why)),
        Outcome::Invalid => Ok(None),
    }
}

/// What steps keep. One step alone gets what the last run of the others left, and cannot run without its module.
fn kept(args: &RunArgs, chosen: &Chosen, commands: &Commands) -> anyhow::Result<Arc<Kept>> {
    let Chosen {
        place, whole, plan, ..
    } = chosen;
    let alone = args.step.is_some().then(|| commands.clone());
    let kept = Kept::open(place, whole, alone, Arc::new(SystemClock))
        .with_context(|| format!("could not use {}", place.path().display()))?;
    let mut steps = plan.jobs.iter().flat_map(|job| &job.steps);
    if let Some((step, from)) = steps.find_map(|step| Some((step, kept.lacks_module_of(step)?))) {
        let command = commands.of_step(&from);
        let command = command.as_deref().or(commands.whole());
        bail!(
            "{:?} runs a module that {from:?} makes, and that step has not run here; run it first: {}",
            printable(&step.name),
            command.unwrap_or("cofferdam run"),
        );
    }
    Ok(Arc::new(kept))
}

/// What steps may know of the build. The owner and the name are those of the remote, if there is one.
async fn facts(chosen: &Chosen, cancel: &CancellationToken) -> anyhow::Result<Facts> {
    let Chosen {
        tree,
        snapshot,
        push,
        plan,
        ..
    } = chosen;
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
        reference: push.reference.clone(),
        owner: names.next().unwrap_or_default(),
        slug,
        custom: plan.variables.clone(),
    })
}
