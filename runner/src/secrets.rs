//! Secrets of a local run: values by name, from a file or the environment, and never from a command line.
//!
//! `Debug` shows names alone, and nothing here writes a value anywhere.

use std::collections::BTreeMap;
use std::fmt;

/// How many; Bitbucket's own bound on the variables of a repository is not published, and people have some dozens.
pub const SECRETS_MAX: usize = 200;

/// Bytes of one value. A private key has about 3 KiB; with more than this beside the arguments no process starts on Linux
/// (`MAX_ARG_STRLEN` is 128 KiB for each).
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Values by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The secrets of one step, and the way that each takes to it. One may take both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretGrants {
    /// As variables of its environment.
    pub variables: Secrets,
    /// As files of a private directory.
    pub files: Secrets,
}

impl SecretGrants {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.files.is_empty()
    }
}

/// Why there is no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// No shell could read it.
    #[error("{0:?} is not a name of a variable: letters, digits and `_`, and no digit first")]
    BadName(String),
    /// No environment holds it.
    #[error("the value of {0} is not text, or has a NUL byte in it")]
    NotText(String),
    /// Above [`SECRET_BYTES_MAX`].
    #[error("the value of {0} has more than {SECRET_BYTES_MAX} bytes")]
    TooLong(String),
    /// Above [`SECRETS_MAX`].
    #[error("there are more than {SECRETS_MAX} secrets")]
    TooMany,
    /// A line of a file without `=`. The line is not shown: it may be a secret.
    #[error("line {0} is not NAME=VALUE")]
    BadLine(usize),
}

impl Secrets {
    /// Of pairs; a later one of the same name wins.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SecretFault> {
        let mut secrets = Self::default();
        for (name, value) in pairs {
            secrets.put(name, value)?;
        }
        Ok(secrets)
    }

    /// Adds one, or replaces the one of that name.
    pub fn put(&mut self, name: String, value: String) -> Result<(), SecretFault> {
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.starts_with(|first: char| !first.is_ascii_digit());
        if !is_name {
            return Err(SecretFault::BadName(name));
        }
        if value.contains('\0') {
            return Err(SecretFault::NotText(name));
        }
        if value.len() > SECRET_BYTES_MAX {
            return Err(SecretFault::TooLong(name));
        }
        if self.0.len() >= SECRETS_MAX && !self.0.contains_key(&name) {
            return Err(SecretFault::TooMany);
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Adds the lines `NAME=VALUE` of a file, as `docker run --env-file` reads them: a value is all that stands behind the
    /// first `=`, quotes included; empty lines and those that begin with `#` are passed over.
    pub fn put_lines(&mut self, text: &str) -> Result<(), SecretFault> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or(SecretFault::BadLine(number + 1))?;
            self.put(name.trim_end().to_owned(), value.to_owned())?;
        }
        Ok(())
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_read_as_other_tools_read_it() {
        let mut secrets = Secrets::default();
        secrets
            .put_lines("# mine\n\nA=1\n  B = two = 2 \nC='q'\r\nA=3\n")
            .unwrap();
        let all: Vec<_> = secrets.iter().collect();
        assert_eq!(all, [("A", "3"), ("B", " two = 2 "), ("C", "'q'")]);
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_being_shown() {
        let cases = [
            ("hunter22", SecretFault::BadLine(1)),
            ("\nA B=1", SecretFault::BadName("A B".to_owned())),
            ("=1", SecretFault::BadName(String::new())),
            ("1A=1", SecretFault::BadName("1A".to_owned())),
            ("A=\0", SecretFault::NotText("A".to_owned())),
        ];
        for (text, fault) in cases {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.put_lines(text), Err(fault), "{text:?}");
        }
        let secrets = Secrets::from_pairs([("A".to_owned(), "hunter22".to_owned())]).unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"A"}"#);
    }

    #[test]
    fn secrets_are_bounded() {
        let long = "x".repeat(SECRET_BYTES_MAX + 1);
        let fault = Secrets::from_pairs([("A".to_owned(), long)]);
        assert_eq!(fault, Err(SecretFault::TooLong("A".to_owned())));
        let many = (0..=SECRETS_MAX).map(|number| (format!("A{number}"), String::new()));
        assert_eq!(Secrets::from_pairs(many), Err(SecretFault::TooMany));
    }
}
