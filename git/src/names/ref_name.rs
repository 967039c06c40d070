//! The full name of a ref.

use std::fmt;
use std::str::FromStr;

/// Bytes of a ref's name. Git has no bound; forges stop at 255.
const REF_BYTES_MAX: usize = 512;

/// Bytes of one component: git makes a file of it, with `.lock` at the end while it writes.
const COMPONENT_BYTES_MAX: usize = 255 - ".lock".len();

/// The full name of a ref, such as `refs/heads/main`, by the rules of `git check-ref-format`.
///
/// On top of those, the part that git's commands take as a branch or tag name does not start with
/// `-`, as `git check-ref-format --branch` has it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

/// Why a text is not the full name of a ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRefName {
    #[error("a ref's full name is needed, such as refs/heads/main")]
    NotFull,
    #[error(
        "a ref's name has at most {REF_BYTES_MAX} bytes, {COMPONENT_BYTES_MAX} between slashes"
    )]
    TooLong,
    #[error("a ref's name cannot have an empty part between slashes")]
    EmptyComponent,
    #[error("no part of a ref's name starts with a dot")]
    LeadingDot,
    #[error("no part of a ref's name ends with a dot or with .lock")]
    BadEnd,
    #[error("the name of a branch or tag does not start with a dash")]
    LeadingDash,
    #[error("a ref's name cannot hold {0:?}")]
    Holds(&'static str),
    #[error("a ref's name cannot hold the character {0:?}")]
    Character(char),
}

impl RefName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch's name without `refs/heads/`, if this is a branch.
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// The tag's name without `refs/tags/`, if this is a tag.
    pub fn tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }
}

impl FromStr for RefName {
    type Err = BadRefName;

    fn from_str(text: &str) -> Result<Self, BadRefName> {
        if text.len() > REF_BYTES_MAX {
            return Err(BadRefName::TooLong);
        }
        let below = text.strip_prefix("refs/").ok_or(BadRefName::NotFull)?;
        let (_, name) = below.split_once('/').ok_or(BadRefName::NotFull)?;
        if name.starts_with('-') {
            return Err(BadRefName::LeadingDash);
        }
        for sequence in ["..", "@{"] {
            if text.contains(sequence) {
                return Err(BadRefName::Holds(sequence));
            }
        }
        if let Some(character) = text.chars().find(|character| is_forbidden(*character)) {
            return Err(BadRefName::Character(character));
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.to_owned()))
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_control() || " ~^:?*[\\".contains(character)
}

fn check_component(component: &str) -> Result<(), BadRefName> {
    // Git refuses a final dot only at the very end. One before a slash is refused here too: no forge
    // makes such a ref, and some file systems drop the dot.
    if component.is_empty() {
        Err(BadRefName::EmptyComponent)
    } else if component.len() > COMPONENT_BYTES_MAX {
        Err(BadRefName::TooLong)
    } else if component.starts_with('.') {
        Err(BadRefName::LeadingDot)
    } else if component.ends_with('.') || component.as_bytes().ends_with(b".lock") {
        Err(BadRefName::BadEnd)
    } else {
        Ok(())
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RefName({})", self.0)
    }
}
