//! Text that others wrote, made fit for a terminal and a log.
//!
//! What a terminal would obey, and what makes text look like other text, is shown by its number. The one
//! list of such characters; everything that prints foreign text comes through here.

use std::fmt::Write as _;

/// What stands for the rest of a text that was cut.
const MARK: char = '…';

/// One line of at most `bytes_max` bytes as it is shown: line ends are written by their number, and what goes beyond is
/// cut at a character and marked. Bytes and not characters, because so are all bounds on the wire and in the store;
/// and as it is shown, because a character's number is up to ten times as long as the character.
pub fn one_line(text: &str, bytes_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(bytes_max));
    // Where the mark still fits.
    let mut cut_at = 0;
    for character in text.chars() {
        put(&mut shown, character);
        if shown.len() > bytes_max {
            shown.truncate(cut_at);
            shown.push(MARK);
            break;
        }
        if shown.len() + MARK.len_utf8() <= bytes_max {
            cut_at = shown.len();
        }
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

/// Whether a terminal shows it as itself, in its place. A tab is not: it jumps. Block elements are not: a line of ours
/// begins with one, and the others look like it.
pub fn is_plain(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    let is_block = matches!(character, '\u{2580}'..='\u{259f}');
    !character.is_control() && !is_invisible && !is_block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_by_its_number() {
        for (text, expected) in [
            ("plain ünïcode │ ✓", "plain ünïcode │ ✓"),
            (
                "▀▌▐▟ ▁█░",
                r"\u{2580}\u{258c}\u{2590}\u{259f} \u{2581}\u{2588}\u{2591}",
            ),
            ("a\nb\r\tc", r"a\u{a}b\u{d}\u{9}c"),
            ("\u{1b}[2J\u{9b}", r"\u{1b}[2J\u{9b}"),
            ("a\u{202e}b\u{200b}", r"a\u{202e}b\u{200b}"),
        ] {
            assert_eq!(one_line(text, 100), expected);
        }
    }

    #[test]
    fn a_line_is_cut_by_the_bytes_that_are_shown() {
        for (text, bytes_max, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "ab…"),
            ("abcdef", 3, "…"),
            ("éééé", 8, "éééé"),
            ("éééé", 7, "éé…"),
            ("\u{1b}\u{1b}", 12, r"\u{1b}\u{1b}"),
            ("\u{1b}\u{1b}", 11, r"\u{1b}…"),
            ("", 0, ""),
        ] {
            assert_eq!(one_line(text, bytes_max), expected, "{text:?} {bytes_max}");
        }
        let long = "\u{e0001}".repeat(1_000);
        assert!(one_line(&long, 800).len() <= 800);
    }
}
