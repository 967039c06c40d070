//! What the operator decided: `runner.toml`, and the few environment variables that count. The only
//! module that reads the environment. Raw first, then valid.
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
//! ```

mod environment;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cofferdam_protocol::limits::SLOTS_MAX;
use serde::Deserialize;

pub use environment::Environment;

/// Longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Jobs at once where the file does not say.
const SLOTS_DEFAULT: u16 = 2;

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
    /// It is not what it should be.
    #[error("{}, line {line}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong there, and what was perhaps meant.
        why: String,
    },
    /// A value makes no sense.
    #[error("{}: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which key, and why.
        why: String,
    },
    /// The environment does not say where files belong.
    #[error("neither {0} nor HOME is set; give the directory as an argument")]
    NoHome(&'static str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    slots: Option<u16>,
    #[serde(default)]
    git: RawGit,
    #[serde(default)]
    container: RawContainer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGit {
    #[serde(default)]
    file_roots: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContainer {
    engine: Option<String>,
    network: Option<String>,
}

impl Config {
    /// Reads the file that the operator named; without one, `runner.toml` in the state directory if it
    /// is there; without that, the defaults.
    pub fn load(named: Option<&Path>, state: &Path) -> Result<Self, ConfigError> {
        let usual = state.join("runner.toml");
        match (named, Self::read(named.unwrap_or(&usual))) {
            (None, Err(ConfigError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                RawConfig::default().validate(&usual)
            }
            (_, read) => read,
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let why = format!("it is longer than {FILE_BYTES_MAX} bytes");
            return Err(ConfigError::Invalid {
                path: path.to_owned(),
                why,
            });
        }
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let at = error.span().unwrap_or_default();
            let before = text.get(..at.start).unwrap_or_default();
            ConfigError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: explain(error.message(), text.get(at).unwrap_or_default()),
            }
        })?;
        raw.validate(path)
    }
}

/// Every key and table that the file may have.
const KEYS: [&str; 6] = [
    "slots",
    "git",
    "git.file_roots",
    "container",
    "container.engine",
    "container.network",
];

/// Letters that may be wrong in a key for it to count as a slip of the fingers.
const EDITS_MAX: usize = 2;

/// What the reader of TOML said of the text at a place, in the words of this file.
fn explain(message: &str, found: &str) -> String {
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let nearest = KEYS
        .into_iter()
        .map(|key| (edits(last(key), found), key))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min();
    match nearest {
        Some((0, key)) => match key.rsplit_once('.') {
            Some((table, name)) => format!("`{name}` belongs below `[{table}]`"),
            None => format!("`{key}` belongs above the first `[`"),
        },
        Some((_, key)) => format!("there is no key `{found}`; did you mean `{key}`?"),
        None => format!("there is no key `{found}`; there are {}", KEYS.join(", ")),
    }
}

/// How many letters have to be put in, taken out or replaced to make one word of the other (Levenshtein's distance).
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

impl RawConfig {
    fn validate(self, path: &Path) -> Result<Config, ConfigError> {
        let Self {
            slots,
            git: RawGit { file_roots },
            container: RawContainer { engine, network },
        } = self;
        let invalid = |why: String| ConfigError::Invalid {
            path: path.to_owned(),
            why,
        };
        let slots = slots.unwrap_or(SLOTS_DEFAULT);
        if !(1..=SLOTS_MAX).contains(&slots) {
            return Err(invalid(format!(
                "slots = {slots}: 1 to {SLOTS_MAX} are possible"
            )));
        }
        if let Some(root) = file_roots.iter().find(|root| !root.is_absolute()) {
            return Err(invalid(format!(
                "git.file_roots: {} is not absolute",
                root.display()
            )));
        }
        let engine = match engine.as_deref() {
            None | Some("auto") => EngineChoice::Auto,
            Some("none") => EngineChoice::None,
            Some(text) => match text.strip_prefix("unix://").map(PathBuf::from) {
                Some(socket) if socket.is_absolute() => EngineChoice::Socket(socket),
                _ => {
                    let why = "container.engine is \"auto\", \"none\" or \"unix:///PATH\"";
                    return Err(invalid(why.to_owned()));
                }
            },
        };
        let has_container_network = match network.as_deref() {
            None | Some("engine") => true,
            Some("none") => false,
            Some(_) => {
                let why = "container.network is \"engine\" or \"none\"";
                return Err(invalid(why.to_owned()));
            }
        };
        Ok(Config {
            slots,
            git_file_roots: file_roots,
            engine,
            has_container_network,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("runner.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let defaults = Config {
            slots: 2,
            git_file_roots: Vec::new(),
            engine: EngineChoice::Auto,
            has_container_network: true,
        };
        assert_eq!(check(""), Ok(defaults));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_key() {
        for (text, expected) in [
            ("slots = 0", "runner.toml: slots = 0: 1 to 256 are possible"),
            (
                "git.file_roots = ['srv']",
                "runner.toml: git.file_roots: srv is not absolute",
            ),
            (
                "container.engine = 'tcp://x'",
                "runner.toml: container.engine is \"auto\", \"none\" or \"unix:///PATH\"",
            ),
        ] {
            assert_eq!(check(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_key_that_does_not_exist_is_named_with_its_line_and_the_one_that_was_meant() {
        for (text, expected) in [
            (
                "slotz = 1",
                "runner.toml, line 1: there is no key `slotz`; did you mean `slots`?",
            ),
            (
                "slots = 1\n\n[git]\nfile_root = ['/srv']",
                "runner.toml, line 4: there is no key `file_root`; did you mean `git.file_roots`?",
            ),
            (
                "slots = 1\nfile_roots = ['/srv']",
                "runner.toml, line 2: `file_roots` belongs below `[git]`",
            ),
            (
                "[git]\nslots = 1",
                "runner.toml, line 2: `slots` belongs above the first `[`",
            ),
            (
                "[contaner]\nengine = 'none'",
                "runner.toml, line 1: there is no key `contaner`; did you mean `container`?",
            ),
            (
                "timeout = 1",
                "runner.toml, line 1: there is no key `timeout`; there are slots, git, git.file_roots, container, container.engine, container.network",
            ),
            ("slots = 1\nslots = 2", "runner.toml, line 2: duplicate key"),
            (
                "slots =",
                "runner.toml, line 1: string values must be quoted, expected literal string",
            ),
        ] {
            assert_eq!(check(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_known_to_the_one_who_explains_it() {
        for (table, text) in [
            ("", "x = 1"),
            ("git.", "[git]\nx = 1"),
            ("container.", "[container]\nx = 1"),
        ] {
            let error = toml::from_str::<RawConfig>(text).unwrap_err().to_string();
            let keys: Vec<String> = error
                .split_once("expected")
                .unwrap()
                .1
                .split('`')
                .skip(1)
                .step_by(2)
                .map(|key| format!("{table}{key}"))
                .collect();
            let known: Vec<&str> = KEYS
                .into_iter()
                .filter(|key| {
                    key.strip_prefix(table)
                        .is_some_and(|rest| !rest.contains('.'))
                })
                .collect();
            assert_eq!(keys, known);
        }
    }
}
