//! The environment: the one place where it is read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::ConfigError;

/// What of the environment counts.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    home: Option<OsString>,
    state_home: Option<OsString>,
    cache_home: Option<OsString>,
    runtime_dir: Option<OsString>,
    path: Option<OsString>,
    join_token: Option<SecretString>,
    log: Option<OsString>,
    containers_conf: Option<OsString>,
    no_color: Option<OsString>,
    /// What a container engine of our own is started with.
    engine: BTreeMap<String, String>,
}

/// What Podman looks for in its environment; nothing else is passed on.
const ENGINE_VARIABLES: [&str; 9] = [
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "LANG",
];

impl Environment {
    /// Reads it, once, at the start of the program.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the environment is read"
    )]
    pub fn read() -> Self {
        let get = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            home: get("HOME"),
            state_home: get("XDG_STATE_HOME"),
            cache_home: get("XDG_CACHE_HOME"),
            runtime_dir: get("XDG_RUNTIME_DIR"),
            path: get("PATH"),
            join_token: get("COFFERDAM_JOIN_TOKEN")
                .and_then(|token| token.into_string().ok())
                .map(SecretString::from),
            log: get("COFFERDAM_LOG"),
            containers_conf: get("CONTAINERS_CONF"),
            no_color: get("NO_COLOR"),
            engine: ENGINE_VARIABLES
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), get(name)?.into_string().ok()?)))
                .collect(),
        }
    }

    /// One variable that the user named. It is read when it is asked for, so that nothing else is kept.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the environment is read"
    )]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// Where a runner keeps its state: `/var/lib/cofferdam` for root, else
    /// `$XDG_STATE_HOME/cofferdam` or `~/.local/state/cofferdam`.
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/cofferdam"));
        }
        self.below_home(self.state_home.as_ref(), ".local/state", "XDG_STATE_HOME")
    }

    /// Where native code is kept for `step run`: `modules` in the cache directory.
    pub fn module_cache_dir(&self) -> PathBuf {
        self.cache_dir().join("modules")
    }

    /// What may be lost at any time: `$XDG_CACHE_HOME/cofferdam` or `~/.cache/cofferdam`; without either, a
    /// directory of this user's below `/tmp`, which is used only if it belongs to this user alone.
    pub fn cache_dir(&self) -> PathBuf {
        let user = rustix::process::geteuid().as_raw();
        self.below_home(self.cache_home.as_ref(), ".cache", "XDG_CACHE_HOME")
            .unwrap_or_else(|_| PathBuf::from(format!("/tmp/cofferdam-cache-{user}")))
    }

    /// The user's directory for sockets, if the session has one.
    pub fn runtime_dir(&self) -> Option<&Path> {
        self.runtime_dir.as_deref().map(Path::new)
    }

    /// Where programs are looked for.
    pub fn search_path(&self) -> OsString {
        self.path
            .clone()
            .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
    }

    /// `COFFERDAM_JOIN_TOKEN`.
    pub fn join_token(&self) -> Option<&SecretString> {
        self.join_token.as_ref()
    }

    /// `COFFERDAM_LOG`: which of our own log lines are shown, as `tracing`'s filter.
    pub fn log_filter(&self) -> Option<String> {
        self.log
            .as_ref()
            .and_then(|filter| filter.to_str())
            .map(str::to_owned)
    }

    /// `NO_COLOR` (no-color.org): set, to whatever value, it asks for text without colours.
    pub fn wants_no_colour(&self) -> bool {
        self.no_color.is_some()
    }

    /// What a container engine of our own is started with.
    pub fn engine(&self) -> &BTreeMap<String, String> {
        &self.engine
    }

    /// `CONTAINERS_CONF`: how a Podman of our own is configured, where the host's own way does not do.
    pub fn containers_conf(&self) -> Option<PathBuf> {
        self.containers_conf.as_ref().map(PathBuf::from)
    }

    fn below_home(
        &self,
        base: Option<&OsString>,
        usual: &str,
        name: &'static str,
    ) -> Result<PathBuf, ConfigError> {
        let base = match (base, &self.home) {
            (Some(base), _) => PathBuf::from(base),
            (None, Some(home)) => Path::new(home).join(usual),
            (None, None) => return Err(ConfigError::NoHome(name)),
        };
        Ok(base.join("cofferdam"))
    }
}
