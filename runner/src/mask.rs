//! Secrets that are kept out of a log: each value in a stream of bytes becomes the name of its variable.
//!
//! A guard against accidents, as with every such runner: a step that was given a secret can write it in another form.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use crate::secrets::Secrets;

/// Shorter values are left alone: they would match half of a log, and whoever reads it would learn where.
pub const MASKED_BYTES_MIN: usize = 4;

/// Of a longer value only its lines are masked, and of a longer line its beginning: a stream holds back as much as that.
const MASKED_BYTES_MAX: usize = 4096;

/// What is to be masked. Cheap to ask; one for all streams.
#[derive(Debug)]
pub struct Masks {
    values: Vec<Masked>,
    finder: Option<AhoCorasick>,
    longest: usize,
}

struct Masked {
    value: Vec<u8>,
    /// What stands in its place: `$NAME`.
    shown: Vec<u8>,
}

/// The value is nobody's to read.
impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.shown))
    }
}

impl Masks {
    /// Masks every value, and each line of one that has several.
    pub fn new(secrets: &Secrets) -> Result<Self, BuildError> {
        let mut values: Vec<Masked> = Vec::new();
        for (name, value) in secrets.iter() {
            for part in std::iter::once(value).chain(value.lines()) {
                let part = part.trim().as_bytes();
                let part = &part[..part.len().min(MASKED_BYTES_MAX)];
                let is_known = values.iter().any(|known| known.value == part);
                if part.len() >= MASKED_BYTES_MIN && !is_known {
                    values.push(Masked {
                        value: part.to_vec(),
                        shown: format!("${name}").into_bytes(),
                    });
                }
            }
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(values.iter().map(|masked| &masked.value));
        Ok(Self {
            finder: if values.is_empty() {
                None
            } else {
                Some(finder?)
            },
            longest: values
                .iter()
                .map(|masked| masked.value.len())
                .max()
                .unwrap_or(0),
            values,
        })
    }

    /// Where the earliest value begins that may go on after the end of `bytes`.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| {
            let rest = &bytes[*at..];
            self.values
                .iter()
                .any(|masked| masked.value.len() > rest.len() && masked.value.starts_with(rest))
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// One stream, whose pieces may end anywhere.
#[derive(Debug, Default)]
pub struct MaskedStream {
    held: Vec<u8>,
}

impl MaskedStream {
    /// Takes the next piece and returns what may be shown. What could be the beginning of a value is held back; at most as
    /// much as the longest value.
    pub fn take(&mut self, masks: &Masks, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.show(masks, Masks::unfinished)
    }

    /// Returns what is held back; nothing comes after it.
    pub fn finish(&mut self, masks: &Masks) -> Vec<u8> {
        self.show(masks, |_, bytes| bytes.len())
    }

    fn show(&mut self, masks: &Masks, unfinished: fn(&Masks, &[u8]) -> usize) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let Some(finder) = &masks.finder else {
            return held;
        };
        let mut shown = Vec::with_capacity(held.len());
        let mut rest = held.as_slice();
        loop {
            let end = unfinished(masks, rest);
            match finder.find(rest) {
                Some(found) if found.start() < end => {
                    shown.extend_from_slice(&rest[..found.start()]);
                    shown.extend_from_slice(&masks.values[found.pattern().as_usize()].shown);
                    rest = &rest[found.end()..];
                }
                _ => {
                    shown.extend_from_slice(&rest[..end]);
                    self.held = rest[end..].to_vec();
                    return shown;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names and values.
    type Given = &'static [(&'static str, &'static str)];

    fn masks(secrets: &[(&str, &str)]) -> Masks {
        let secrets = secrets
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Masks::new(&Secrets::from_pairs(secrets).unwrap()).unwrap()
    }

    fn shown(masks: &Masks, pieces: &[&str]) -> String {
        let mut stream = MaskedStream::default();
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend(stream.take(masks, piece.as_bytes()));
        }
        shown.extend(stream.finish(masks));
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn values_become_names_however_the_pieces_fall() {
        let one: Given = &[("KEY", "hunter22")];
        let nested: Given = &[("SHORT", "hunter"), ("LONG", "hunter22")];
        let lines: Given = &[("PEM", "first line\nsecond line\n")];
        let cases: &[(Given, &[&str], &str)] = &[
            (one, &["a hunter22 b"], "a $KEY b"),
            (one, &["a hun", "ter", "22 b"], "a $KEY b"),
            (one, &["hunter22hunter22"], "$KEY$KEY"),
            (one, &["hunhunter22"], "hun$KEY"),
            (one, &["a hunter2"], "a hunter2"),
            (nested, &["hunter", "22"], "$LONG"),
            (nested, &["hunter", "2!"], "$SHORT2!"),
            (lines, &["x first line y"], "x $PEM y"),
            (lines, &["first line\nsecond line"], "$PEM"),
            (&[("TINY", "abc")], &["abc"], "abc"),
            (&[], &["anything"], "anything"),
        ];
        for (secrets, pieces, expected) in cases {
            assert_eq!(shown(&masks(secrets), pieces), *expected, "{pieces:?}");
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_a_secret() {
        let masks = masks(&[("KEY", "hunter22")]);
        let mut stream = MaskedStream::default();
        assert_eq!(stream.take(&masks, b"Password: "), b"Password: ");
        assert_eq!(stream.take(&masks, b"h"), b"");
        assert_eq!(stream.take(&masks, b"i"), b"hi");
    }

    proptest! {
        #[test]
        fn no_cut_of_a_stream_lets_a_value_through(
            text in "[ab]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..6)
        ) {
            let masks = masks(&[("ONE", "abab"), ("TWO", "babba"), ("THREE", "aaaabb")]);
            let whole = shown(&masks, &[&text]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(shown(&masks, &pieces), whole.clone());
            prop_assert!(!["abab", "babba", "aaaabb"].iter().any(|value| whole.contains(value)));
        }
    }
}
