//! The colours of a step: "select graphic rendition" (ECMA-48, 8.3.117), read here and never passed on.
//!
//! From a line's bytes to pieces, each with the look that the sequences before it ask for. A terminal gets that look in
//! words of ours, and our reset behind each piece; so no colour outlives its piece, let alone its line. A sequence that
//! is not whole is text like any other control character.
//!
//! Deliberately absent: background, inverse, blinking and hidden text. With them a step could paint the mark that begins
//! our lines, or words that nobody sees.

use std::fmt::Write as _;

/// Longest sequence that is read. A colour of 24 bits for text and background, with every weight, has some 50 bytes.
const SEQUENCE_BYTES_MAX: usize = 64;

const ESCAPE: u8 = 0x1b;

/// How a step wants a piece of its text to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::view) struct Look {
    colour: Option<Colour>,
    /// Strong, dim, italic and underlined, whose numbers are 1 to 4.
    strokes: [bool; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    /// One of the sixteen, by its own number: 30 to 37, 90 to 97.
    Basic(u8),
    /// One of 256.
    Indexed(u8),
    /// Red, green, blue.
    Mixed([u8; 3]),
}

impl Look {
    /// Our parameters for it; empty for plain text.
    pub(in crate::view) fn code(self) -> String {
        let mut code = String::new();
        for (number, is_wanted) in (1..).zip(self.strokes) {
            if is_wanted {
                put(&mut code, number);
            }
        }
        let colour: &[u8] = match &self.colour {
            None => &[],
            Some(Colour::Basic(number)) => &[*number],
            Some(Colour::Indexed(index)) => &[38, 5, *index],
            Some(Colour::Mixed([red, green, blue])) => &[38, 2, *red, *green, *blue],
        };
        for number in colour {
            put(&mut code, *number);
        }
        code
    }

    /// The look after the parameters of one sequence.
    fn after(self, parameters: &[u8]) -> Self {
        let mut look = self;
        let mut codes = parameters.split(|byte| *byte == b';');
        while let Some(code) = codes.next() {
            let mut parts = code.split(|byte| *byte == b':');
            let first = parts.next().and_then(number);
            let parts: Vec<&[u8]> = parts.collect();
            match (first, parts.as_slice()) {
                (Some(38), []) => look.colour = colour(&mut codes).or(look.colour),
                // Of the background and the underline; what follows belongs to it.
                (Some(48 | 58), []) => _ = colour(&mut codes),
                (Some(38), parts) => look.colour = colour_of_parts(parts).or(look.colour),
                (Some(4), [kind]) => look.strokes[3] = number(kind) != Some(0),
                (Some(code), []) => look.set(code),
                _ => {}
            }
        }
        look
    }

    fn set(&mut self, code: u8) {
        match code {
            0 => *self = Self::default(),
            1..=4 => self.strokes[usize::from(code) - 1] = true,
            22 => self.strokes[..2].fill(false),
            23 => self.strokes[2] = false,
            24 => self.strokes[3] = false,
            30..=37 | 90..=97 => self.colour = Some(Colour::Basic(code)),
            39 => self.colour = None,
            _ => {}
        }
    }
}

/// `5;INDEX` or `2;RED;GREEN;BLUE`.
fn colour<'a>(codes: &mut impl Iterator<Item = &'a [u8]>) -> Option<Colour> {
    match number(codes.next()?)? {
        5 => Some(Colour::Indexed(number(codes.next()?)?)),
        2 => {
            let mut part = || codes.next().and_then(number);
            let parts = [part(), part(), part()];
            let [Some(red), Some(green), Some(blue)] = parts else {
                return None;
            };
            Some(Colour::Mixed([red, green, blue]))
        }
        _ => None,
    }
}

/// The same with colons, where a colour space may stand before the colour (ISO 8613-6, 13.1.8).
fn colour_of_parts(parts: &[&[u8]]) -> Option<Colour> {
    match parts {
        [b"2", _space, colour @ ..] if colour.len() == 3 => {
            colour_of_parts(&[&parts[..1], colour].concat())
        }
        parts => colour(&mut parts.iter().copied()),
    }
}

/// A parameter; one that is not there is 0. `None` for one that means nothing.
fn number(digits: &[u8]) -> Option<u8> {
    match digits {
        b"" => Some(0),
        digits => str::from_utf8(digits).ok()?.parse().ok(),
    }
}

fn put(code: &mut String, number: u8) {
    let between = if code.is_empty() { "" } else { ";" };
    // Writing to a String cannot fail.
    _ = write!(code, "{between}{number}");
}

/// The pieces of a line between its whole sequences, which are left out. A piece may be empty.
pub(in crate::view) fn pieces(line: &[u8]) -> impl Iterator<Item = (Look, &[u8])> {
    let mut look = Look::default();
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let found = escapes(line).find_map(|at| Some((at, sequence(&line[at..])?)));
        let Some((at, (parameters, length))) = found else {
            return Some((look, line));
        };
        let piece = (look, &line[..at]);
        look = look.after(parameters);
        rest = Some(&line[at + length..]);
        Some(piece)
    })
}

fn escapes(line: &[u8]) -> impl Iterator<Item = usize> {
    let bytes = line.iter().enumerate();
    bytes.filter_map(|(at, byte)| (*byte == ESCAPE).then_some(at))
}

/// The parameters of the whole sequence that begins here, and its length. To it belongs an erasure of the rest of the
/// line right behind it, as gcc and grep write it: in a log nothing is there to erase.
fn sequence(text: &[u8]) -> Option<(&[u8], usize)> {
    let body = text.strip_prefix(b"\x1b[")?;
    let body = &body[..body.len().min(SEQUENCE_BYTES_MAX)];
    let end = body
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    if body[end] != b'm' {
        return None;
    }
    let length = b"\x1b[".len() + end + b"m".len();
    let erasures: [&[u8]; 2] = [b"\x1b[K", b"\x1b[0K"];
    let erasure = erasures
        .into_iter()
        .find(|erasure| text[length..].starts_with(erasure));
    Some((&body[..end], length + erasure.map_or(0, <[u8]>::len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let mut shown = String::new();
        for (look, piece) in pieces(line.as_bytes()).filter(|(_, piece)| !piece.is_empty()) {
            let text = String::from_utf8_lossy(piece);
            write!(shown, "<{}>{text}", look.code()).unwrap();
        }
        shown
    }

    #[test]
    fn whole_sequences_become_a_look_and_everything_else_stays() {
        for (line, expected) in [
            ("plain", "<>plain"),
            ("\x1b[31mred\x1b[0m plain", "<31>red<> plain"),
            ("\x1b[mplain", "<>plain"),
            ("\x1b[1;4;92mall\x1b[22;24mcolour", "<1;4;92>all<92>colour"),
            (
                "\x1b[38;5;208morange\x1b[39mplain",
                "<38;5;208>orange<>plain",
            ),
            ("\x1b[38;2;1;2;3mmixed", "<38;2;1;2;3>mixed"),
            ("\x1b[38:2::1:2:3mmixed", "<38;2;1;2;3>mixed"),
            ("\x1b[38:5:7;3mboth", "<3;38;5;7>both"),
            ("\x1b[4:3mcurly\x1b[4:0mplain", "<4>curly<>plain"),
            // gcc and grep.
            ("\x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K x", "<1;31>error:<> x"),
            // Nothing that could paint the mark of our lines, or hide words.
            ("\x1b[7;8;5;9mtext", "<>text"),
            ("\x1b[46;48;5;6;31mtext", "<31>text"),
            ("\x1b[48;2;31;32;33mtext", "<>text"),
            // Neither whole nor colours.
            ("\x1b[31", "<>\x1b[31"),
            ("\x1b[31\x1b[32mx", "<>\x1b[31<32>x"),
            ("\x1b[2J", "<>\x1b[2J"),
            ("\x1b[>4;1m", "<>\x1b[>4;1m"),
            ("\x1b[?25m", "<>\x1b[?25m"),
            ("\x1b[K", "<>\x1b[K"),
            ("\u{9b}31m", "<>\u{9b}31m"),
            // Numbers that are none.
            ("\x1b[999;38;5;999;38;9mtext", "<>text"),
        ] {
            assert_eq!(shown(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_sequence_without_end_is_text() {
        let line = format!("\x1b[{}mtext", "1;".repeat(40));
        assert_eq!(shown(&line), format!("<>{line}"));
    }
}
