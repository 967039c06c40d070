//! A repository that the hub builds.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;

/// Longest repository name, in bytes: it becomes a directory's name.
const NAME_BYTES_MAX: usize = 64;

/// A repository's name on the hub: letters, digits, `.`, `_` and `-`, starting with a letter or digit.
/// It stands in URLs, file names and logs, so nothing else is let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(String);

/// A string that cannot name a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a repository's name has 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-', and starts with a letter or digit"
)]
pub struct BadRepoName;

impl RepoName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepoName {
    type Err = BadRepoName;
    fn from_str(text: &str) -> Result<Self, BadRepoName> {
        let is_start_good = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_rest_good = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if is_start_good && is_rest_good && text.len() <= NAME_BYTES_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadRepoName)
        }
    }
}

/// A repository, as the operator added it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Unique on this hub.
    pub name: RepoName,
    /// Where hub and runners fetch it from. Checked by `cofferdam_git::RemoteUrl` at each use.
    pub url: String,
    /// Signs the pushes that its server reports.
    pub hook_key: SecretString,
}
