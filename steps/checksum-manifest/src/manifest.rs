//! The text of a manifest: one line per file, sorted, as coreutils' `sha256sum` writes it.
//!
//! A line is 64 hexadecimal digits, two spaces, and the path. A path with a backslash, newline
//! or carriage return is written with `\\`, `\n`, `\r`, and its line starts with a backslash.

use std::collections::BTreeMap;
use std::fmt;

/// One gigabyte of lines would be a mistake; a million files of 200-byte paths fit.
pub const MANIFEST_BYTES_MAX: u64 = 512 << 20;

const DIGEST_DIGITS: usize = 64;

/// Digest by path, in the order in which they are written.
pub type Manifest = BTreeMap<String, String>;

/// A line is not one of a manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} is not \"DIGEST  PATH\"", self.line)
    }
}

impl std::error::Error for BadLine {}

/// The manifest as text; the same files always give the same bytes.
pub fn render(manifest: &Manifest) -> String {
    let mut text = String::new();
    for (path, digest) in manifest {
        let escaped = escape(path);
        if escaped != *path {
            text.push('\\');
        }
        text.push_str(digest);
        text.push_str("  ");
        text.push_str(&escaped);
        text.push('\n');
    }
    text
}

/// Reads what [`render`] or `sha256sum` wrote.
pub fn parse(text: &str) -> Result<Manifest, BadLine> {
    let entry = |(index, line)| entry(line).ok_or(BadLine { line: index + 1 });
    text.lines().enumerate().map(entry).collect()
}

fn entry(line: &str) -> Option<(String, String)> {
    let (line, is_escaped) = match line.strip_prefix('\\') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let (digest, rest) = line.split_at_checked(DIGEST_DIGITS)?;
    let is_digest = digest
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // sha256sum marks a file read in binary mode with an asterisk; here it means the same.
    let path = rest
        .strip_prefix("  ")
        .or_else(|| rest.strip_prefix(" *"))?;
    if !is_digest || path.is_empty() {
        return None;
    }
    let path = if is_escaped {
        unescape(path)?
    } else {
        path.to_owned()
    };
    Some((path, digest.to_owned()))
}

fn escape(path: &str) -> String {
    path.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn unescape(path: &str) -> Option<String> {
    let mut plain = String::with_capacity(path.len());
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(paths: &[&str]) -> Manifest {
        paths
            .iter()
            .map(|path| ((*path).to_owned(), DIGEST.to_owned()))
            .collect()
    }

    #[test]
    fn every_path_survives_being_written_and_read() {
        let manifest = manifest(&[
            "a",
            "b c",
            "back\\slash",
            "new\nline",
            "re\rturn",
            "ü",
            " x ",
        ]);
        assert_eq!(parse(&render(&manifest)), Ok(manifest));
    }

    #[test]
    fn lines_are_sorted_by_the_bytes_of_the_path() {
        let text = render(&manifest(&["b", "a/z", "B", "a"]));
        let paths: Vec<_> = text.lines().map(|line| &line[66..]).collect();
        assert_eq!(paths, ["B", "a", "a/z", "b"]);
    }

    #[test]
    fn a_line_that_is_not_one_is_named_by_its_number() {
        let good = format!("{DIGEST}  a\n");
        for bad in [
            "",
            "zz  a",
            DIGEST,
            &format!("{DIGEST} a"),
            &format!("\\{DIGEST}  a\\x"),
        ] {
            assert_eq!(
                parse(&format!("{good}{bad}\n")),
                Err(BadLine { line: 2 }),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_sha256sum_writes_in_binary_mode_is_read() {
        assert_eq!(parse(&format!("{DIGEST} *a\n")), Ok(manifest(&["a"])));
    }
}
