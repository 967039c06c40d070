//! `$NAME` and `${NAME…}`: names that are replaced by their values.
//!
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html>, 2.6.2

use super::Word;

/// Bytes of a word that are looked at. No variable and no program that matters has a longer name.
pub(super) const WORD_BYTES_MAX: usize = 255;

/// Tells of the variables in a text that is no script: a value in which `$NAME` and `${NAME}` are replaced.
pub(in super::super) fn expansions<'t>(text: &'t str, tell: &mut dyn FnMut(Word<'t>)) {
    let mut line = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'\\' => 2,
            b'\n' => {
                line += 1;
                1
            }
            b'$' => match Expansion::at(text, at) {
                Some(found) => {
                    tell(found.word(line, None));
                    found.bytes
                }
                None => 2,
            },
            _ => 1,
        };
    }
}

/// `$NAME`, or the beginning of `${NAME…}`.
pub(super) struct Expansion<'t> {
    pub(super) name: &'t str,
    has_default: bool,
    /// It gives the name that value where there is none.
    pub(super) sets: bool,
    /// Up to where what follows the name begins.
    pub(super) bytes: usize,
}

impl<'t> Expansion<'t> {
    /// `at` is the dollar.
    pub(super) fn at(text: &'t str, at: usize) -> Option<Self> {
        let rest = &text[at + 1..];
        let (braces, inside) = match rest.strip_prefix('{') {
            Some(inside) => (1, inside),
            None => (0, rest),
        };
        let sign = usize::from(braces == 1 && inside.starts_with(['!', '#']));
        let mut skipped = 1 + braces + sign;
        let mut name = identifier(&inside[sign..]);
        // PowerShell's `$env:NAME`.
        if name == "env" && inside[sign..].starts_with("env:") {
            skipped += "env:".len();
            name = identifier(&inside[sign + "env:".len()..]);
        }
        if name.is_empty() {
            return None;
        }
        let operator = &text[at + skipped + name.len()..];
        let has =
            |signs: &[&str]| braces == 1 && signs.iter().any(|sign| operator.starts_with(sign));
        let sets = has(&[":=", "="]);
        Some(Self {
            name,
            has_default: sets || has(&[":-", "-", ":+", "+"]),
            sets,
            bytes: skipped + name.len(),
        })
    }

    pub(super) fn word(&self, lines_before: u32, assigned: Option<&str>) -> Word<'t> {
        Word::Read {
            name: self.name,
            lines_before,
            has_default: self.has_default,
            is_of_itself: assigned == Some(self.name),
        }
    }
}

/// The name that a text begins with; empty if it begins with none.
pub(super) fn identifier(text: &str) -> &str {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = text.bytes().take_while(|byte| is_of_name(byte)).count();
    if text.starts_with(|first: char| first.is_ascii_digit()) || length > WORD_BYTES_MAX {
        return "";
    }
    &text[..length]
}
