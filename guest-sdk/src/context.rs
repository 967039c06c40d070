//! What the environment says about the build, with types.
//!
//! The names and meanings are Bitbucket's ("Variables and secrets", default variables). Every
//! accessor answers `None` for a variable that is not set, because a step also runs on a laptop,
//! where most of them are not.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// The build that a step belongs to, as its environment tells it.
///
/// ```
/// use cofferdam_guest_sdk::Context;
///
/// let context = Context::from_variables([
///     ("BITBUCKET_BRANCH", "main"),
///     ("BITBUCKET_BUILD_NUMBER", "17"),
/// ]);
/// assert_eq!(context.branch(), Some("main"));
/// assert_eq!(context.build_number(), Ok(Some(17)));
/// assert_eq!(context.tag(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    variables: BTreeMap<String, String>,
}

/// A variable is set, but not to what its name promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextError {
    /// The variable's name.
    pub name: &'static str,
    /// Its value as it was found.
    pub value: String,
}

impl fmt::Display for ContextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is {:?}, which is not a number",
            self.name, self.value
        )
    }
}

impl Error for ContextError {}

impl Context {
    /// Reads the environment of this process; variables that are not Unicode are left out.
    pub fn from_env() -> Self {
        let unicode = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(unicode).collect(),
        }
    }

    /// A context from pairs of name and value, for a step's own tests.
    pub fn from_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: pairs.collect(),
        }
    }

    /// Whether the step runs in a build: `CI` is `true`.
    pub fn is_ci(&self) -> bool {
        self.get("CI") == Some("true")
    }

    /// The full hash of the commit that is being built.
    pub fn commit(&self) -> Option<&str> {
        self.get("BITBUCKET_COMMIT")
    }

    /// The branch that was pushed; for a pull request its source branch; none for a tag.
    pub fn branch(&self) -> Option<&str> {
        self.get("BITBUCKET_BRANCH")
    }

    /// The tag that was pushed; none for a branch.
    pub fn tag(&self) -> Option<&str> {
        self.get("BITBUCKET_TAG")
    }

    /// The build's number within its repository, counted from 1.
    pub fn build_number(&self) -> Result<Option<u64>, ContextError> {
        self.number("BITBUCKET_BUILD_NUMBER")
    }

    /// The number of the pull request that the build is of.
    pub fn pull_request(&self) -> Result<Option<u64>, ContextError> {
        self.number("BITBUCKET_PR_ID")
    }

    /// The repository as `workspace/name`.
    pub fn repository(&self) -> Option<&str> {
        self.get("BITBUCKET_REPO_FULL_NAME")
    }

    /// The checkout's directory as the step sees it. Relative paths lead to the same place.
    pub fn clone_dir(&self) -> Option<&Path> {
        self.get("BITBUCKET_CLONE_DIR").map(Path::new)
    }

    /// Any other variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ContextError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let wrong = |_| ContextError {
            name,
            value: value.to_owned(),
        };
        value.parse().map(Some).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_none_is_named_with_its_variable() {
        let context = Context::from_variables([("BITBUCKET_BUILD_NUMBER", "seven")]);
        assert_eq!(
            context.build_number().unwrap_err().to_string(),
            "BITBUCKET_BUILD_NUMBER is \"seven\", which is not a number"
        );
    }

    #[test]
    fn a_laptop_without_any_variable_is_not_an_error() {
        let context = Context::default();
        assert!(!context.is_ci());
        assert_eq!(context.pull_request(), Ok(None));
        assert_eq!(context.clone_dir(), None);
    }
}
