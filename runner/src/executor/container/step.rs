//! One step, from its image to its receipt.
//!
//! Image, journal, container, script, after-script, removal: in this order, and the removal whatever
//! happened before. Time and cancel are watched here and nowhere else.

use std::time::Duration;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, StartContainerOptions,
};
use cofferdam_protocol::Origin;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bounds::{self, Room};
use super::cgroup::Cgroup;
use super::exec::{self, Exec, Meter};
use super::image;
use super::journal::Held;
use super::spec::{Network, Spec};
use super::{CLONE_DIR, ContainerExecutor, shell};
use crate::ceiling::ImageName;
use crate::executor::{ExecutorError, ScriptWork, StepRun};
use crate::log::LogSink;
use crate::receipt::{EndedBy, GrantRecord, LimitHit, Observer, Receipt};

/// Between SIGTERM and SIGKILL, as `docker stop` waits.
const GRACE: Duration = Duration::from_secs(10);

/// How often a container is looked at in that time.
const GRACE_POLL: Duration = Duration::from_millis(50);

/// Longest time for an after-script.
const AFTER_SCRIPT_MAX: Duration = Duration::from_mins(1);

/// Longest wait for the last output of processes that were killed.
const LAST_OUTPUT_MAX: Duration = Duration::from_secs(5);

/// Longest time to give the files of a build tree back to the runner.
const RECLAIM_MAX: Duration = Duration::from_mins(1);

/// Longest script, all lines together: a pipeline file is not longer.
const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// Runs the step and returns when its container is gone.
pub(super) async fn run(
    executor: &ContainerExecutor,
    run: &StepRun<'_>,
    work: &ScriptWork,
    log: &dyn LogSink,
) -> Result<Receipt, ExecutorError> {
    let started = Instant::now();
    let room = bounds::room(executor, &work.bounds)?;
    let image = image::named(&work.image)?;
    check(work, run)?;
    let stop = Stop {
        run,
        deadline: started + run.timeout,
    };
    let mut receipt = blank_receipt(executor, &image, room.network);
    let image_id = tokio::select! {
        why = stop.wait() => {
            receipt.ended_by = why;
            receipt.wall = started.elapsed();
            return Ok(receipt);
        }
        id = bring_image(executor, &image, log) => id?,
    };
    receipt.digest = Some(image_id.clone());
    let mut held = Held::enter(
        &executor.engine,
        &executor.journal,
        &executor.tracker,
        (executor.settings.fresh_id)(),
    )
    .map_err(|error| {
        ExecutorError::Infrastructure(
            "could not write a container into the journal".to_owned(),
            Some(Box::new(error)),
        )
    })?;
    let ran = async {
        let life = Life::begin(executor, run, (work, room), (&mut held, &image_id)).await?;
        life.run(&stop, log, &mut receipt).await
    }
    .await;
    let removed = held.remove().await;
    ran?;
    removed.map_err(api("could not remove the step's container"))?;
    receipt.wall = started.elapsed();
    Ok(receipt)
}

/// Refuses what a shell or an environment cannot hold.
fn check(work: &ScriptWork, run: &StepRun<'_>) -> Result<(), ExecutorError> {
    let user = |why: &str| Err(ExecutorError::User(why.to_owned(), None));
    let lines = || work.script.iter().chain(&work.after_script);
    if lines().map(String::len).sum::<usize>() > SCRIPT_BYTES_MAX {
        return user("the script is longer than 1 MiB");
    }
    if lines().any(|line| line.contains('\0')) {
        return user("a script line holds a NUL byte, which no shell can read");
    }
    if run
        .env
        .iter()
        .any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'))
    {
        return user("a variable's name is empty or holds '=', or a variable holds a NUL byte");
    }
    Ok(())
}

fn blank_receipt(executor: &ContainerExecutor, image: &ImageName, given: Network) -> Receipt {
    let network = match given {
        Network::Engine => "every host that the engine's default network reaches",
        Network::None => "none",
    };
    let mut grants = vec![GrantRecord {
        kind: "write",
        what: ".".to_owned(),
        refused: None,
    }];
    if given == Network::Engine {
        grants.push(GrantRecord {
            kind: "net",
            what: network.to_owned(),
            refused: None,
        });
    }
    Receipt {
        executor: "container",
        digest: None,
        origin: image.to_string(),
        grants,
        ended_by: EndedBy::Cancel,
        wall: Duration::ZERO,
        cpu: None,
        memory_peak_bytes: None,
        output_bytes: 0,
        network: None,
        isolation: format!(
            "container: {}; few capabilities, no new privileges, the engine's seccomp profile; \
             network: {network}",
            executor.engine.facts()
        ),
        walls: None,
        process: None,
    }
}

async fn bring_image(
    executor: &ContainerExecutor,
    image: &ImageName,
    log: &dyn LogSink,
) -> Result<String, ExecutorError> {
    let docker = executor.engine.docker();
    if let Some(id) = image::find(docker, image).await? {
        return Ok(id);
    }
    if !image.is_local() {
        say(log, &format!("Pulling the image {image}")).await;
    }
    image::pull(docker, image).await
}

/// What ends a step from outside.
struct Stop<'a> {
    run: &'a StepRun<'a>,
    deadline: Instant,
}

impl Stop<'_> {
    async fn wait(&self) -> EndedBy {
        tokio::select! {
            () = self.run.cancel.cancelled() => EndedBy::Cancel,
            () = sleep_until(self.deadline) => EndedBy::Timeout(self.run.timeout),
        }
    }
}

/// A running container and the step in it.
struct Life<'a> {
    executor: &'a ContainerExecutor,
    run: &'a StepRun<'a>,
    work: &'a ScriptWork,
    room: Room,
    container: String,
    id: String,
    cgroup: Cgroup,
    meter: Meter,
}

impl<'a> Life<'a> {
    async fn begin(
        executor: &'a ContainerExecutor,
        run: &'a StepRun<'a>,
        (work, room): (&'a ScriptWork, Room),
        (held, image_id): (&mut Held, &str),
    ) -> Result<Self, ExecutorError> {
        let docker = executor.engine.docker();
        let facts = executor.engine.facts();
        let spec = Spec {
            image_id,
            step: run.name,
            workspace: run.workspace.path(),
            mounts: run.mounts,
            network: room.network,
            limits: room.limits,
            ulimits: room.ulimits,
            has_selinux: facts.has_selinux,
        };
        let id = held
            .create(spec.body())
            .await
            .map_err(api("could not create the step's container"))?;
        docker
            .start_container(&id, None::<StartContainerOptions>)
            .await
            .map_err(|error| blame_start(error, work, spec.network))?;
        let state = docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
            .map_err(api("could not look at the step's container"))?
            .state
            .unwrap_or_default();
        let cgroup = Cgroup::of(state.pid.unwrap_or(0), &id);
        Ok(Self {
            executor,
            run,
            work,
            room,
            container: held.name().to_owned(),
            id,
            cgroup,
            meter: Meter::new(room.limits.output_bytes),
        })
    }

    /// Runs script and after-script, and fills in the receipt. Nothing runs in the container when it
    /// returns without an error.
    async fn run(
        self,
        stop: &Stop<'_>,
        log: &dyn LogSink,
        receipt: &mut Receipt,
    ) -> Result<(), ExecutorError> {
        receipt.process = Some(self.id.clone());
        if self.room.network == Network::None {
            say(
                log,
                "This step has no network: this runner gives none to containers",
            )
            .await;
        }
        if !self.executor.engine.facts().has_limits {
            let why = "This step has no limit on memory: this engine cannot set one on this host";
            say(log, why).await;
        }
        let env = self.env(None);
        let docker = self.executor.engine.docker();
        let (exec, pump) = exec::start(docker, &self.container, env, &self.work.script)
            .await
            .map_err(api("could not start the script"))?;
        // The output of the script is carried on while the after-script runs: a server that the script
        // left behind may still have something to say.
        let ((), ended) = tokio::join!(pump.run(log, &self.meter), async {
            let ended = self.script_and_after(&exec, stop, log).await;
            receipt.cpu = self.cgroup.cpu().map(|time| (time, Observer::Kernel));
            receipt.memory_peak_bytes = self
                .cgroup
                .memory_peak_bytes()
                .map(|bytes| (bytes, Observer::Kernel));
            self.signal(shell::KILL_ALL).await;
            exec.cut_after(LAST_OUTPUT_MAX).await;
            ended
        });
        receipt.output_bytes = self.meter.bytes();
        receipt.ended_by = ended?;
        self.reclaim(log).await;
        Ok(())
    }

    async fn script_and_after(
        &self,
        exec: &Exec,
        stop: &Stop<'_>,
        log: &dyn LogSink,
    ) -> Result<EndedBy, ExecutorError> {
        let stopped = tokio::select! {
            () = exec.ended() => None,
            why = stop.wait() => Some(why),
            () = self.meter.over() => Some(EndedBy::Limit(LimitHit {
                name: "output",
                allowed: self.room.limits.output_bytes,
                unit: "bytes",
            })),
        };
        if stopped.is_some() {
            self.stop_all(exec).await;
        }
        let state = self.state().await?;
        let status = exec.status().await;
        let ran_out = self.cgroup.oom_kills().unwrap_or(0) > 0 || state.oom_killed == Some(true);
        let is_alive = state.running == Some(true);
        let status = match status {
            Ok(Some(status)) => status,
            // The kernel may take the container's init; then the status is lost with it.
            _ if ran_out => 137,
            Ok(None) if stopped.is_some() => 137,
            Ok(None) => {
                let why = "the container ended under the script, or its engine lost the status";
                return Err(ExecutorError::Infrastructure(why.to_owned(), None));
            }
            Err(error) => return Err(api("could not ask for the script's status")(error)),
        };
        if is_alive {
            self.after_script(status, log).await?;
        } else if !self.work.after_script.is_empty() {
            say(log, "The after-script cannot run: the container is gone").await;
        }
        Ok(stopped.unwrap_or(if ran_out && status != 0 {
            EndedBy::Limit(LimitHit {
                name: "memory",
                allowed: self.room.limits.memory_bytes,
                unit: "bytes",
            })
        } else {
            EndedBy::Exit(status)
        }))
    }

    /// Runs the after-script. How it ends changes nothing; only an engine that fails us is an error.
    async fn after_script(&self, status: u8, log: &dyn LogSink) -> Result<(), ExecutorError> {
        if self.work.after_script.is_empty() {
            return Ok(());
        }
        let docker = self.executor.engine.docker();
        let env = self.env(Some(status));
        let (exec, pump) = exec::start(docker, &self.container, env, &self.work.after_script)
            .await
            .map_err(api("could not start the after-script"))?;
        let ((), told) = tokio::join!(pump.run(log, &self.meter), async {
            if timeout(AFTER_SCRIPT_MAX, exec.ended()).await.is_err() {
                self.signal(shell::KILL_ALL).await;
                exec.cut_after(LAST_OUTPUT_MAX).await;
                let secs = AFTER_SCRIPT_MAX.as_secs();
                return Some(format!("The after-script was stopped after {secs} s"));
            }
            // What it left in the background is not waited for.
            exec.cut_after(Duration::ZERO).await;
            let status = exec.status().await.ok().flatten();
            status
                .filter(|status| *status != 0)
                .map(|status| format!("The after-script failed with status {status}"))
        });
        if let Some(told) = told {
            say(log, &told).await;
        }
        Ok(())
    }

    /// Asks everything in the container to end, waits, and kills what is left.
    async fn stop_all(&self, exec: &Exec) {
        self.signal(shell::ASK_ALL).await;
        let all_ended = async {
            loop {
                match self.cgroup.tasks() {
                    Some(tasks) if tasks <= shell::INIT_TASKS => break,
                    Some(_) => sleep(GRACE_POLL).await,
                    // Nobody counts: what the script left behind has no longer grace than itself.
                    None => break exec.ended().await,
                }
            }
        };
        drop(timeout(GRACE, all_ended).await);
        self.signal(shell::KILL_ALL).await;
        drop(timeout(GRACE, exec.ended()).await);
    }

    /// Sends a signal to the init. One that is dead already has nothing to pass on.
    async fn signal(&self, signal: &str) {
        let how = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let docker = self.executor.engine.docker();
        if let Err(error) = docker.kill_container(&self.container, Some(how)).await {
            tracing::warn!(container = self.container, signal, %error, "could not signal a container");
        }
    }

    async fn state(&self) -> Result<bollard::models::ContainerState, ExecutorError> {
        let docker = self.executor.engine.docker();
        docker
            .inspect_container(&self.container, None::<InspectContainerOptions>)
            .await
            .map(|found| found.state.unwrap_or_default())
            .map_err(api("could not look at the step's container"))
    }

    /// The environment of a shell; the after-script's knows how the script ended.
    fn env(&self, status: Option<u8>) -> Vec<String> {
        let mut env: Vec<_> = self
            .run
            .env
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        env.extend(status.map(|status| format!("BITBUCKET_EXIT_CODE={status}")));
        env
    }

    /// Gives what the step left in its workspace to the runner, which is not root and has to remove it.
    /// Root in the container may do that and we may not. Everything of the step is dead by now; a step
    /// that replaced its image's `chown` only keeps its files from being removed, and that is said.
    async fn reclaim(&self, log: &dyn LogSink) {
        let Some((user, group)) = self.executor.settings.owner else {
            return;
        };
        // In a rootless engine root in the container is the runner's own user.
        let owner = if self.executor.engine.facts().is_rootless {
            "0:0".to_owned()
        } else {
            format!("{user}:{group}")
        };
        let mounted = self.run.mounts.iter().map(|mount| mount.guest.as_str());
        let lines: Vec<String> = std::iter::once(CLONE_DIR)
            .chain(mounted)
            .map(|place| {
                let place = shell::quote(place);
                format!("chown -R -h {owner} {place} && chmod -R u+rwX {place}")
            })
            .collect();
        let docker = self.executor.engine.docker();
        let meter = Meter::new(0);
        let reclaimed = async {
            let (exec, pump) = exec::start(docker, &self.container, Vec::new(), &lines).await?;
            let ((), status) = tokio::join!(pump.run(&Nowhere, &meter), async {
                exec.ended().await;
                exec.cut_after(Duration::ZERO).await;
                exec.status().await
            });
            status
        };
        if !matches!(timeout(RECLAIM_MAX, reclaimed).await, Ok(Ok(Some(0)))) {
            let why = "Some files of this step could not be given back to the runner; its workspace \
                       may have to be removed by hand";
            say(log, why).await;
        }
    }
}

/// Takes nothing.
#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl LogSink for Nowhere {
    async fn write(&self, _origin: Origin, _bytes: &[u8]) {}
}

/// One line from us.
async fn say(log: &dyn LogSink, line: &str) {
    log.write(Origin::System, format!("{line}\n").as_bytes())
        .await;
}

/// An engine that failed us.
fn api(what: &'static str) -> impl Fn(ApiError) -> ExecutorError {
    move |error| ExecutorError::Infrastructure(what.to_owned(), Some(Box::new(error)))
}

/// Who is to blame when a container does not start. Engines say it only in words.
fn blame_start(error: ApiError, work: &ScriptWork, network: Network) -> ExecutorError {
    let said = error.to_string().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if said.contains("/bin/sh") && says(&["no such file", "not found"]) {
        return ExecutorError::User(
            format!(
                "the image {} has no /bin/sh to run a script with",
                work.image
            ),
            Some(Box::new(error)),
        );
    }
    let networks = [
        "netavark",
        "cni",
        "slirp4netns",
        "pasta",
        "netns",
        "network",
    ];
    if network == Network::Engine && says(&networks) {
        let why = "the engine could not give the step's container its default network; on a host \
                   where it cannot, set the runner's network for containers to `none`";
        return ExecutorError::Infrastructure(why.to_owned(), Some(Box::new(error)));
    }
    api("could not start the step's container")(error)
}
