//! Secrets that are kept out of a log: each value in a stream of bytes becomes the name of its variable.
//!
//! A guard against accidents, as with every such runner: a step that was given a secret can write it in a form of its own.
//! The forms that tools write by themselves are masked too.

mod forms;

use std::collections::{BTreeMap, BTreeSet};

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
    /// Places in `values` by the first byte.
    beginning: BTreeMap<u8, Vec<usize>>,
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
    /// Masks every value, and each line of one that has several, and the forms that tools give to them.
    pub fn new(secrets: &Secrets) -> Result<Self, BuildError> {
        let mut values: Vec<Masked> = Vec::new();
        let mut known = BTreeSet::new();
        for (name, value) in secrets.iter() {
            for part in std::iter::once(value).chain(value.lines()) {
                let part = part.trim();
                let part = &part[..part.floor_char_boundary(MASKED_BYTES_MAX)];
                for form in std::iter::once(part.to_owned()).chain(forms::of(part)) {
                    if form.len() >= MASKED_BYTES_MIN && known.insert(form.clone()) {
                        values.push(Masked {
                            value: form.into_bytes(),
                            shown: format!("${name}").into_bytes(),
                        });
                    }
                }
            }
        }
        let mut beginning: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (place, masked) in values.iter().enumerate() {
            beginning.entry(masked.value[0]).or_default().push(place);
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
            beginning,
            values,
        })
    }

    /// A whole text as it may be shown.
    pub fn text(&self, text: &str) -> String {
        let mut stream = MaskedStream::default();
        let mut shown = stream.take(self, text.as_bytes());
        shown.extend(stream.finish(self));
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Where the earliest value begins that may go on after the end of `bytes`.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| {
            let rest = &bytes[*at..];
            let beginning = self.beginning.get(&rest[0]);
            beginning.into_iter().flatten().any(|place| {
                let value = &self.values[*place].value;
                value.len() > rest.len() && value.starts_with(rest)
            })
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
            (one, &["aHVudGVyMjI=", " eGh1bnRlcjIy"], "$KEYI= eG$KEY"),
            (
                one,
                &["?key=hunter22&", "68756e7465723232"],
                "?key=$KEY&$KEY",
            ),
            (&[], &["anything"], "anything"),
        ];
        for (secrets, pieces, expected) in cases {
            assert_eq!(shown(&masks(secrets), pieces), *expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_whole_text_is_masked_to_its_last_byte() {
        let masks = masks(&[("KEY", "hunter22"), ("LONG", "hunter22 and more")]);
        assert_eq!(masks.text("out/hunter22/a"), "out/$KEY/a");
        assert_eq!(masks.text("a hunter22 and"), "a $KEY and");
    }

    #[test]
    fn a_private_key_is_masked_in_the_lines_that_base64_makes_of_it() {
        use data_encoding::BASE64;

        let lines: Vec<String> = (0..40)
            .map(|line| format!("{line:02} some line of a key that nobody guesses\n"))
            .collect();
        let key = lines.concat();
        let masks = masks(&[("KEY", key.as_str())]);
        let encoded = BASE64.encode(key.as_bytes());
        for length in [64, 76, encoded.len()] {
            let lines = encoded.as_bytes().chunks(length);
            let lines: Vec<&str> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
            let shown = masks.text(&lines.join("\n"));
            // At most the end, which is padding and what stands before it.
            let left = shown.replace("$KEY", "").replace(['\n', '='], "");
            assert!(left.len() < 8, "{shown}");
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_a_secret() {
        let masks = masks(&[("KEY", "hunter22")]);
        let mut stream = MaskedStream::default();
        // `a` might be the beginning of what base64 makes of it; a space is of nothing.
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
