//! The patterns of `artifacts`, `ignore-paths` and `caches.key.files`: which paths below the clone directory they name.
//!
//! `*` stops at `/`, `**` crosses it, `?` is one character, `{a,b}` one of several; a pattern names whole paths, of files,
//! relative to the clone directory. `[…]` and `\` are ordinary characters, as in the patterns for branches; unlike there,
//! `**/` also stands for no directory at all, because `"**/*.gemspec"`, the example of the vendor's page, means the one at
//! the top too. It becomes a regular expression over bytes, which is matched in time linear in the path.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/>
//! <https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/>
//! <https://support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/>

use std::ffi::OsStr;

use regex::bytes::{Regex, RegexBuilder};

use super::path::KeptPath;

/// Bytes of one pattern. The longest in real pipeline files has about 120.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// Patterns of one artifact or one cache key. More than any real file has by ten; each path is held against each.
pub const PATTERNS_MAX: usize = 100;

/// Braces within braces. Nobody nests more than two; the expression's own parser nests too.
const BRACES_DEEP_MAX: usize = 16;

/// Memory of one compiled pattern, so that 100 of them stay under 100 MiB; the longest real one needs 50 kB.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A name that no pattern spells out, for asking whether a directory is matched with all that is below it.
const ANY_NAME: &str = "\u{1}";

/// One pattern, checked and compiled.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// The directories it spells out before its first wildcard: nothing outside them can match.
    prefix: KeptPath,
    /// How many names a match has, if the pattern fixes that.
    names: Option<usize>,
}

/// Why a text is no pattern. The text is the caller's to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing can match.
    #[error("is empty")]
    Empty,
    /// Paths are relative to the clone directory.
    #[error("is absolute; write it relative to the clone directory")]
    Absolute,
    /// The vendor's page: these segments do not work.
    #[error("has a `.` or `..` in it, which no artifact path has")]
    Dots,
    /// A NUL or line break.
    #[error("has a control character in it")]
    Control,
    /// Longer than `PATTERN_BYTES_MAX`.
    #[error("is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// Too deep or too large when compiled.
    #[error("is too complex")]
    TooComplex,
    /// More than `PATTERNS_MAX`.
    #[error("is one pattern too many; {PATTERNS_MAX} are allowed")]
    TooMany,
}

impl Pattern {
    /// Checks and compiles. Time and memory are bounded by the length allowed.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternFault::TooLong);
        }
        if text.starts_with('/') {
            return Err(PatternFault::Absolute);
        }
        if text.split('/').any(|name| matches!(name, "." | "..")) {
            return Err(PatternFault::Dots);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternFault::Control);
        }
        let regex = RegexBuilder::new(&translate(text)?)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|_too_large| PatternFault::TooComplex)?;
        let is_fixed = !text.contains("**") && !text.contains('{');
        Ok(Self {
            regex,
            prefix: prefix(text),
            names: is_fixed.then(|| text.split('/').count()),
            text: text.to_owned(),
        })
    }

    /// Compiles all of a list; the fault comes with the pattern that has it.
    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>, (String, PatternFault)> {
        if let Some(extra) = texts.get(PATTERNS_MAX) {
            return Err((extra.clone(), PatternFault::TooMany));
        }
        texts
            .iter()
            .map(|text| Self::parse(text).map_err(|fault| (text.clone(), fault)))
            .collect()
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names this path, whole.
    pub fn matches(&self, path: &KeptPath) -> bool {
        self.regex.is_match(path.as_bytes())
    }

    /// Whether it names directories too, and so keeps an empty one: `dist/**` is all that is below `dist`.
    pub(super) fn takes_directories(&self) -> bool {
        self.text.ends_with("**")
    }

    /// Whether something in this directory or deeper could match.
    pub(super) fn may_match_below(&self, directory: &KeptPath) -> bool {
        (directory.is_within(&self.prefix) || self.prefix.is_within(directory))
            && self.names.is_none_or(|names| directory.depth() < names)
    }

    /// Whether everything below this directory matches.
    pub(super) fn matches_all_below(&self, directory: &KeptPath) -> bool {
        self.text.ends_with("/**") && self.matches(&directory.join(OsStr::new(ANY_NAME)))
    }

    /// The path it spells out if it has no wildcard at all; a `/` at its end is left off.
    pub(super) fn as_plain_path(&self) -> Option<KeptPath> {
        if self.text.contains(['*', '?', '{']) {
            return None;
        }
        KeptPath::parse(self.text.trim_end_matches('/').as_bytes()).ok()
    }
}

fn prefix(text: &str) -> KeptPath {
    let names = text.split('/').collect::<Vec<_>>();
    let plain = names[..names.len() - 1]
        .iter()
        .take_while(|name| !name.is_empty() && !name.contains(['*', '?', '{', '}', ',']))
        .copied()
        .collect::<Vec<_>>();
    // What is no path matches nothing, and then it does not matter where it is looked for.
    KeptPath::parse(plain.join("/").as_bytes()).unwrap_or_default()
}

/// The pattern as an expression over bytes. `?` asks for a whole character, so a name that is no text has none there.
fn translate(text: &str) -> Result<String, PatternFault> {
    let characters = text.chars().collect::<Vec<_>>();
    let is_group = groups(&characters)?;
    let mut expression = String::from(r"(?s-u)\A");
    let mut index = 0;
    while index < characters.len() {
        let character = characters[index];
        match character {
            '*' => {
                let stars = characters[index..]
                    .iter()
                    .take_while(|&&next| next == '*')
                    .count();
                let starts_name = index == 0
                    || characters[index - 1] == '/'
                    || (is_group[index - 1] && characters[index - 1] != '}');
                let ends_name = characters.get(index + stars) == Some(&'/');
                index += stars;
                if stars > 1 && starts_name && ends_name {
                    expression.push_str("(?:.*/)?");
                    index += 1;
                } else if stars > 1 {
                    expression.push_str(".*");
                } else {
                    expression.push_str("[^/]*");
                }
                continue;
            }
            '?' => expression.push_str("(?u:[^/])"),
            '{' if is_group[index] => expression.push_str("(?:"),
            ',' if is_group[index] => expression.push('|'),
            '}' if is_group[index] => expression.push(')'),
            character if character.is_ascii() => {
                expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
            }
            character => {
                expression.push_str("(?u:");
                expression.push(character);
                expression.push(')');
            }
        }
        index += 1;
    }
    expression.push_str(r"\z");
    Ok(expression)
}

/// Which braces and commas mean something: those of a pair with a comma in it, as in shells. All others are themselves.
fn groups(characters: &[char]) -> Result<Vec<bool>, PatternFault> {
    let mut is_group = vec![false; characters.len()];
    let mut open: Vec<Vec<usize>> = Vec::new();
    for (index, character) in characters.iter().enumerate() {
        match character {
            '{' if open.len() == BRACES_DEEP_MAX => return Err(PatternFault::TooComplex),
            '{' => open.push(vec![index]),
            ',' => open
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|group| group.push(index)),
            '}' => {
                if let Some(group) = open.pop()
                    && group.len() > 1
                {
                    group
                        .into_iter()
                        .chain([index])
                        .for_each(|part| is_group[part] = true);
                }
            }
            _ => {}
        }
    }
    Ok(is_group)
}
