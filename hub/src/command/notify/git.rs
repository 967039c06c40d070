//! The one git process of a hook: which commit an annotated tag names.
//!
//! It runs in the git server's own repository, as the hook that git started, and reads one object that was
//! just pushed. The hub believes none of it: it reads the ref again.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::config::search_path;

/// How long it may take. Reading one object takes milliseconds.
const TIME_MAX: Duration = Duration::from_secs(3);

/// The commit that an object names; `None` if it is none, or git cannot say.
pub(super) async fn commit_of(object: &str, git_dir: Option<&OsStr>) -> Option<String> {
    let is_id = matches!(object.len(), 40 | 64) && object.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return None;
    }
    let program = cofferdam_git::Git::find(&search_path())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the process module of the hook: empty environment, the hook's own directory, killed on drop"
    )]
    let mut command = Command::new(program);
    command
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
        .arg(format!("{object}^{{commit}}"))
        .env_clear()
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(git_dir) = git_dir {
        command.env("GIT_DIR", git_dir);
    }
    let output = timeout(TIME_MAX, command.output()).await.ok()?.ok()?;
    let commit = str::from_utf8(&output.stdout).ok()?.trim();
    let is_known = output.status.success() && !commit.is_empty();
    is_known.then(|| commit.to_owned())
}
