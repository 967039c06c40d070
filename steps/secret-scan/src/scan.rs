//! Finds places in one file's bytes. Pure: no file is opened here.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::rules::{self, TokenRule};

/// A value shorter than this is a word; a password that people choose is not what the strict rule is for.
const VALUE_BYTES_MIN: usize = 16;

/// A longer run is data (an image, a lock file's digest list), no secret.
const VALUE_BYTES_MAX: usize = 512;

/// Random base 64 of sixteen bytes has about 3.7 bits each, hexadecimal 3.2, English words less than 3.
const ENTROPY_BITS_MIN: f64 = 3.1;

/// One place that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Counted from 1.
    pub line: usize,
    /// Counted in bytes, from 1.
    pub column: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// Tells two secrets apart, and finds the same one again.
    pub fingerprint: Fingerprint,
}

/// The first four bytes of a secret's SHA-256.
///
/// Enough to see that two findings are the same secret, far too little to find a random one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    fn of(secret: &[u8]) -> Self {
        let digest = Sha256::digest(secret);
        Self([digest[0], digest[1], digest[2], digest[3]])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// What one file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// In the order of their place.
    pub findings: Vec<Finding>,
    /// Findings on lines that carry [`rules::ALLOW_MARK`].
    pub allowed: usize,
}

/// How eager the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Only what an issuer made recognisable.
    Known,
    /// Random-looking values with telling names, too.
    Strict,
}

/// Finds every secret in the bytes. Linear in their number, whatever they are.
pub fn scan(bytes: &[u8], strictness: Strictness) -> Scanned {
    let mut scanned = Scanned::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let mut places = Vec::new();
        find_tokens(line, &mut places);
        find_private_keys(line, &mut places);
        find_assignments(line, strictness, &mut places);
        if contains(line, rules::ALLOW_MARK) {
            scanned.allowed += places.len();
            continue;
        }
        places.sort_unstable();
        scanned
            .findings
            .extend(places.into_iter().map(|place| Finding {
                line: index + 1,
                column: place.start + 1,
                rule: place.rule,
                fingerprint: Fingerprint::of(&line[place.start..place.end]),
            }));
    }
    scanned
}

/// A span of one line, as byte offsets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    start: usize,
    end: usize,
    rule: &'static str,
}

fn find_tokens(line: &[u8], places: &mut Vec<Place>) {
    let mut start = 0;
    while start < line.len() {
        // A token is a word of its own: what is glued to a letter before it is another word.
        let is_word_start = start == 0 || !line[start - 1].is_ascii_alphanumeric();
        let token = is_word_start.then(|| {
            rules::TOKENS
                .iter()
                .find_map(|rule| token_at(line, start, rule))
        });
        match token.flatten() {
            Some(place) => {
                start = place.end;
                places.push(place);
            }
            None => start += 1,
        }
    }
}

fn token_at(line: &[u8], start: usize, rule: &TokenRule) -> Option<Place> {
    let rest = &line[start..];
    let prefix = rule
        .prefixes
        .iter()
        .find(|prefix| rest.starts_with(prefix.as_bytes()))?;
    let (fewest, most) = rule.length;
    let run = run_length(&rest[prefix.len()..], most + 1, rule.is_in_alphabet);
    let end = start + prefix.len() + run;
    let is_glued = line.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let is_token = (fewest..=most).contains(&run) && !is_glued;
    let is_example = line[start..end].ends_with(rules::EXAMPLE_SUFFIX);
    (is_token && !is_example).then_some(Place {
        start,
        end,
        rule: rule.name,
    })
}

/// `-----BEGIN`, words in capitals, `PRIVATE KEY`, perhaps ` BLOCK`, `-----`.
fn find_private_keys(line: &[u8], places: &mut Vec<Place>) {
    const OPEN: &[u8] = b"-----BEGIN ";
    let mut from = 0;
    while let Some(offset) = find(&line[from..], OPEN) {
        let start = from + offset;
        let label_start = start + OPEN.len();
        let label_length = run_length(&line[label_start..], 64, |byte| {
            byte.is_ascii_uppercase() || byte == b' '
        });
        let end = label_start + label_length;
        let label = &line[label_start..end];
        let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
        if is_private && line[end..].starts_with(b"-----") {
            places.push(Place {
                start,
                end: end + 5,
                rule: rules::PRIVATE_KEY,
            });
        }
        from = end;
    }
}

/// `NAME = VALUE` in the forms that shells, YAML, JSON and programs write it.
fn find_assignments(line: &[u8], strictness: Strictness, places: &mut Vec<Place>) {
    places.sort_unstable();
    let tokens = places.len();
    let mut from = 0;
    while let Some(offset) = line[from..]
        .iter()
        .position(|byte| matches!(byte, b'=' | b':'))
    {
        let sign = from + offset;
        from = sign + 1;
        let name = name_before(&line[..sign]);
        let Some((start, end)) = value_after(line, from) else {
            continue;
        };
        let value = &line[start..end];
        let rule = if is_one_of(&name, rules::AWS_SECRET_NAMES) && is_aws_secret(value) {
            rules::AWS_SECRET
        } else if strictness == Strictness::Strict
            && is_one_of(&name, rules::TELLING_NAMES)
            && is_random_looking(value)
        {
            rules::ASSIGNMENT
        } else {
            continue;
        };
        // A value that a token rule found already is one finding, not two.
        let after = places[..tokens].partition_point(|place| place.end <= start);
        let is_known = places[after..tokens]
            .first()
            .is_some_and(|place| place.start < end);
        if !is_known {
            places.push(Place { start, end, rule });
        }
        from = end;
    }
}

/// The name before an equals sign or colon: lower-case, without quotes, `_` and `-`.
fn name_before(line: &[u8]) -> String {
    /// No telling name with its quotes is longer, and a line of a megabyte must not be read again
    /// for each colon in it.
    const NAME_BYTES_MAX: usize = 80;
    let is_gap = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b':');
    let line = &line[line.len().saturating_sub(NAME_BYTES_MAX)..];
    let end = line
        .iter()
        .rposition(|byte| !is_gap(byte))
        .map_or(0, |last| last + 1);
    let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = line[..end].iter().rev().take_while(|byte| is_in_name(byte));
    let mut letters: Vec<u8> = name
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase)
        .collect();
    letters.reverse();
    letters.into_iter().map(char::from).collect()
}

/// The offsets of the value after the sign; `None` when there is none of a sensible length.
fn value_after(line: &[u8], sign_end: usize) -> Option<(usize, usize)> {
    let is_gap = |byte| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'=' | b'>');
    let start = sign_end + run_length(&line[sign_end..], VALUE_BYTES_MAX, is_gap);
    let length = run_length(&line[start..], VALUE_BYTES_MAX + 1, rules::is_value_byte);
    (VALUE_BYTES_MIN..=VALUE_BYTES_MAX)
        .contains(&length)
        .then_some((start, start + length))
}

fn is_one_of(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

fn is_aws_secret(value: &[u8]) -> bool {
    let has_both =
        value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    // The documentation's example is `…EXAMPLEKEY`.
    value.len() == 40 && has_both && !value.ends_with(b"EXAMPLEKEY")
}

/// Both letters and digits, spread like chance. A path, a host name or a constant's name is not.
fn is_random_looking(value: &[u8]) -> bool {
    let has_digit = value.iter().any(u8::is_ascii_digit);
    let has_letter = value.iter().any(u8::is_ascii_alphabetic);
    has_digit && has_letter && entropy_bits(value) >= ENTROPY_BITS_MIN
}

/// Shannon's entropy of the bytes, in bits per byte.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts are at most VALUE_BYTES_MAX"
)]
fn entropy_bits(value: &[u8]) -> f64 {
    let mut counts = [0_usize; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let share = |count: usize| count as f64 / value.len() as f64;
    counts
        .into_iter()
        .filter(|count| *count > 0)
        .map(|count| -share(count) * share(count).log2())
        .sum()
}

fn run_length(bytes: &[u8], most: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .take(most)
        .take_while(|byte| is_part(**byte))
        .count()
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    find(line, part).is_some()
}

fn find(line: &[u8], part: &[u8]) -> Option<usize> {
    line.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests;
