//! Processes of the world: started with an empty environment, their output kept, killed when dropped.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Nothing in a test takes this long unless it hangs. Two slow shared cores are meant to pass.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A command with an empty environment but for a search path and a home that holds nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where processes of the tests are made"
)]
pub fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .current_dir(home);
    command
}

/// Runs a command to its end; an error shows what it said.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("could not start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}

/// Looks at a condition until it holds; an error says what was waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "tests wait for real processes in real time"
)]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A process that runs beside the test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: PathBuf,
    name: String,
}

impl Running {
    /// Starts it, its output going to `output`.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> Result<Self> {
        let file = File::create(output)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("could not start {command:?}"))?;
        Ok(Self {
            child,
            output: output.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said so far.
    pub fn said(&self) -> String {
        let mut text = Vec::new();
        // A file that is gone says nothing.
        let _read = File::open(&self.output).and_then(|mut file| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until it has said `text`.
    pub fn wait_until_it_says(&mut self, text: &str) -> Result<()> {
        let what = format!("{} to say {text:?}", self.name);
        let waited = wait_for(&what, || {
            if self.said().contains(text) {
                return Ok(Some(()));
            }
            match self.child.try_wait()? {
                Some(status) => bail!("{} ended with {status}", self.name),
                None => Ok(None),
            }
        });
        waited.with_context(|| format!("{} said:\n{}", self.name, self.said()))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let child = &mut self.child;
        wait_for(&what, || Ok(child.try_wait()?))
            .with_context(|| format!("{} said:\n{}", self.name, self.said()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let home = self
            .output
            .parent()
            .context("an output file is in a directory")?;
        let id = self.id().to_string();
        run(command(Path::new("/bin/kill"), home).args(["-s", signal, &id])).map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The exit status as a shell gives it: 128 and the signal for one that was killed.
pub fn shell_status(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    bin_dir()
        .ok()
        .and_then(|dir| dir.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"))
}

/// A program of the workspace, built by the same cargo call as the tests.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = bin_dir()?.join(name);
    if !path.exists() {
        bail!("{} is not built; `just test` builds it", path.display());
    }
    Ok(path)
}

/// The directory with the workspace's programs: beside the tests' own, or, where cargo builds
/// elsewhere than it delivers, the usual one.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo says where it builds by its environment"
)]
fn bin_dir() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .find(|dir| dir.join("cofferdam-hub").exists());
    if let Some(dir) = beside {
        return Ok(dir.to_owned());
    }
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
    };
    target.join("debug").canonicalize()
}
