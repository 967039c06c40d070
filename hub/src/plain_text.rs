//! Text that others wrote, made fit for a terminal and a log.
//!
//! What a terminal would obey, and what makes text look like other text, is shown by its number. The one
//! list of such characters; everything that prints foreign text comes through here.

use std::fmt::Write as _;

/// One line: line ends are shown, and what is beyond `chars_max` characters is cut and marked.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == chars_max {
            shown.push('…');
            break;
        }
        put(&mut shown, character);
    }
    shown
}

/// Adds one character, or its number.
pub fn put(to: &mut String, character: char) {
    if is_plain(character) {
        to.push(character);
    } else {
        // Writing to a String cannot fail.
        _ = write!(to, "{}", character.escape_unicode());
    }
}

/// Whether a terminal shows it as itself, in its place. A tab is not: it jumps.
pub fn is_plain(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_by_its_number() {
        for (text, expected) in [
            ("plain ünïcode ▌", "plain ünïcode ▌"),
            ("a\nb\r\tc", r"a\u{a}b\u{d}\u{9}c"),
            ("\u{1b}[2J\u{9b}", r"\u{1b}[2J\u{9b}"),
            ("a\u{202e}b\u{200b}", r"a\u{202e}b\u{200b}"),
        ] {
            assert_eq!(one_line(text, 100), expected);
        }
        assert_eq!(one_line("abcdef", 3), "abc…");
    }
}
