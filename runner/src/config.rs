//! What the operator decided: `runner.toml`, and the few environment variables that count. The only
//! module that reads the environment, and the one door to that file.
//!
//! ```toml
//! slots = 2                              # jobs at once
//!
//! [git]
//! file_roots = ["/srv/git"]              # directories that file:// repositories may lie below
//!
//! [container]
//! engine = "unix:///run/podman/podman.sock"   # or "auto", or "none"
//! network = "engine"                     # or "none"
//!
//! [untrusted]                            # the ceiling, by trust: docs/ceiling.md
//! hosts = []
//! ```
//!
//! In walk order: `owner` sees to it that nobody else wrote the file, `document` knows where everything in it stands, `keys`
//! which keys there are, and `level` reads the two tables of the ceiling.

mod document;
mod environment;
mod keys;
mod level;
mod owner;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cofferdam_pipeline::Diagnostic;
use cofferdam_protocol::limits::SLOTS_MAX;

pub use environment::Environment;
pub use keys::{LEVEL_KEYS, LevelKey, keys};

use self::document::{Entry, Report, Table};
use crate::ceiling::Ceiling;

/// Longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Jobs at once where the file does not say.
const SLOTS_DEFAULT: u16 = 2;

/// The name of the file, in the state directory and in messages.
pub const FILE_NAME: &str = "runner.toml";

/// The valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Jobs at once.
    pub slots: u16,
    /// Where repositories may come from beside `https` and `ssh`.
    pub git_file_roots: Vec<PathBuf>,
    /// Which container engine serves `script` steps.
    pub engine: EngineChoice,
    /// Whether a `script` step's network is the engine's default one, or none.
    pub has_container_network: bool,
    /// What any job may ask of this host at most.
    pub ceiling: Ceiling,
    /// The file that all this was read from; `None`: there is none, and the defaults count.
    pub file: Option<PathBuf>,
}

/// Which container engine to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// Find one, rootless first, or start one.
    #[default]
    Auto,
    /// The one that listens on this socket.
    Socket(PathBuf),
    /// None: this runner takes wasm steps only.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: SLOTS_DEFAULT,
            git_file_roots: Vec::new(),
            engine: EngineChoice::Auto,
            has_container_network: true,
            ceiling: Ceiling::default(),
            file: None,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{} is not used: {why}", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Who could have, and what to do about it.
        why: String,
    },
    /// It says what it cannot mean.
    #[error("{}", .0.first())]
    Mistakes(Mistakes),
    /// The environment does not say where files belong.
    #[error("neither {0} nor HOME is set; give the directory as an argument")]
    NoHome(&'static str),
}

/// What is wrong in the file; at least one thing.
#[derive(Debug)]
pub struct Mistakes {
    path: PathBuf,
    text: String,
    remarks: Vec<Diagnostic>,
}

impl Mistakes {
    /// Every mistake as a compiler would print it, for a terminal.
    pub fn render(&self) -> String {
        let name = self.path.display().to_string();
        let remarks = self.remarks.iter();
        remarks
            .map(|remark| remark.render(self.text.as_bytes(), &name) + "\n")
            .collect()
    }

    /// The first mistake on one line, and how many more there are.
    fn first(&self) -> String {
        let path = self.path.display();
        let Some(remark) = self.remarks.first() else {
            return format!("{path} cannot be used");
        };
        let (line, column) = (remark.span.line, remark.span.column);
        let help = remark.help.as_ref().map(|help| format!("; {help}"));
        let more = match self.remarks.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let message = &remark.message;
        format!(
            "{path}, line {line}, column {column}: {message}{}{more}",
            help.unwrap_or_default()
        )
    }
}

impl Config {
    /// Reads the file that the operator named; without one, `runner.toml` in the state directory if it
    /// is there; without that, the defaults. A file that others could have written is not used.
    pub fn load(named: Option<&Path>, state: &Path) -> Result<Self, ConfigError> {
        let usual = state.join(FILE_NAME);
        match (named, Self::read(named.unwrap_or(&usual))) {
            (None, Err(ConfigError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::default())
            }
            (_, read) => read,
        }
    }

    /// For somebody who runs something by hand: the file that they named, else their own, else the defaults. A file of
    /// that name in the current directory counts for nothing: it may be the repository's.
    pub fn load_own(named: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        match (named, environment.state_dir()) {
            (named, Ok(state)) => Self::load(named, &state),
            (Some(named), Err(_)) => Self::read(named),
            (None, Err(_)) => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let not_used = |why| ConfigError::Unsafe {
            path: path.to_owned(),
            why,
        };
        let file = owner::open(path).map_err(failed)?;
        owner::check(&file, path)
            .map_err(failed)?
            .map_err(not_used)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(not_used(format!(
                "it is longer than {FILE_BYTES_MAX} bytes"
            )));
        }
        Self::parse(&text, path)
    }

    /// Reads a file's text. `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut report = Report::new(text);
        let config = document::parse(text, &mut report).map(|entries| {
            let root = Table::root(&entries);
            keys::check(&root, &mut report);
            let mut config = runner(&root, &mut report);
            config.ceiling = level::ceiling(&root, &mut report);
            config.file = Some(path.to_owned());
            config
        });
        let remarks = report.into_remarks();
        match config {
            Some(config) if remarks.is_empty() => Ok(config),
            _ => Err(ConfigError::Mistakes(Mistakes {
                path: path.to_owned(),
                text: text.to_owned(),
                remarks,
            })),
        }
    }
}

/// What is not about the ceiling.
fn runner(root: &Table<'_, '_>, report: &mut Report<'_>) -> Config {
    let mut config = Config::default();
    if let Some(entry) = root.get("slots")
        && let Some(number) = entry.number(report)
    {
        match u16::try_from(number) {
            Ok(slots) if (1..=SLOTS_MAX).contains(&slots) => config.slots = slots,
            _ => {
                let why = format!("is not possible; 1 to {SLOTS_MAX} are");
                report.bad_value("slots", &entry.value_at(), why);
            }
        }
    }
    if let Some(entry) = root
        .table("git", report)
        .and_then(|git| git.get("file_roots"))
    {
        for (text, at) in entry.list(report).unwrap_or_default() {
            if Path::new(text).is_absolute() {
                config.git_file_roots.push(text.into());
            } else {
                report.bad_value(&entry.path, &at, "is not absolute");
            }
        }
    }
    if let Some(container) = root.table("container", report) {
        if let Some(entry) = container.get("engine") {
            config.engine = engine(&entry, report).unwrap_or_default();
        }
        if let Some(entry) = container.get("network")
            && let Some((text, at)) = entry.text(report)
        {
            match text {
                "engine" => {}
                "none" => config.has_container_network = false,
                _ => report.bad_value(&entry.path, &at, "is neither \"engine\" nor \"none\""),
            }
        }
    }
    config
}

fn engine(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<EngineChoice> {
    let (text, at) = entry.text(report)?;
    let socket = text.strip_prefix("unix://").map(PathBuf::from);
    match (text, socket) {
        ("auto", _) => Some(EngineChoice::Auto),
        ("none", _) => Some(EngineChoice::None),
        (_, Some(socket)) if socket.is_absolute() => Some(EngineChoice::Socket(socket)),
        _ => {
            let why = "is none of \"auto\", \"none\" and \"unix:///PATH\"";
            report.bad_value(&entry.path, &at, why);
            None
        }
    }
}

#[cfg(test)]
mod tests;
