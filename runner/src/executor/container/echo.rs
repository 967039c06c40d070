//! Turns the markers in a shell's output into the echo of its script lines.
//!
//! The shell prints a marker before each line; the scanner takes it out of the bytes and says which line
//! begins. Pure: bytes in, pieces out. What is shown for a line is the text that the runner knows, in
//! the order it knows, so no byte of a step becomes a system record. The marker holds the exec's id,
//! which the engine made up at random and nothing in the container is told but the shell's own memory: a
//! step that digs it out there can shift the moment of an echo, not its text.

/// Begins and ends a marker: `RS`, the record separator, which text does not contain.
const FRAME: u8 = 0x1e;

/// Digits of a line's number: more lines than a pipeline file of 1 MiB can hold.
const DIGITS: usize = 7;

/// How one shell announces its lines.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    id: String,
}

impl Marker {
    /// `id` is the exec's, in hexadecimal digits.
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }

    /// The marker of the line `index`, as printf's format.
    pub(super) fn as_printf(&self, index: usize) -> String {
        format!(r"\036{}:{index:0DIGITS$}\036", self.id)
    }

    fn bytes(&self, index: usize) -> Vec<u8> {
        let mut bytes = vec![FRAME];
        bytes.extend(format!("{}:{index:0DIGITS$}", self.id).bytes());
        bytes.push(FRAME);
        bytes
    }
}

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes of the step.
    Bytes(Vec<u8>),
    /// The line with this index begins.
    Line(usize),
}

/// Finds the markers of one shell in its standard output.
#[derive(Debug)]
pub(super) struct Scanner {
    marker: Marker,
    index: usize,
    expected: Vec<u8>,
    held: Vec<u8>,
}

impl Scanner {
    pub(super) fn new(marker: Marker) -> Self {
        Self {
            expected: marker.bytes(0),
            marker,
            index: 0,
            held: Vec::new(),
        }
    }

    /// Takes the next bytes; answers what can be told by now. Less than a marker is held back.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let (mut told, mut at) = (0, 0);
        while let Some(found) = data[at..].iter().position(|byte| *byte == FRAME) {
            at += found;
            let rest = &data[at..];
            if rest.starts_with(&self.expected) {
                push_bytes(&mut pieces, &data[told..at]);
                pieces.push(Piece::Line(self.index));
                at += self.expected.len();
                told = at;
                self.index += 1;
                self.expected = self.marker.bytes(self.index);
            } else if self.expected.starts_with(rest) {
                push_bytes(&mut pieces, &data[told..at]);
                self.held = rest.to_vec();
                return pieces;
            } else {
                at += 1;
            }
        }
        push_bytes(&mut pieces, &data[told..]);
        pieces
    }

    /// What was held back, when no more will come.
    pub(super) fn finish(self) -> Vec<u8> {
        self.held
    }
}

fn push_bytes(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scans `output` in chunks of `size`; joins neighbouring bytes.
    fn scan(output: &[u8], size: usize) -> Vec<Piece> {
        let mut scanner = Scanner::new(Marker::new("ab"));
        let mut all: Vec<Piece> = Vec::new();
        let mut add = |piece| match (all.last_mut(), piece) {
            (Some(Piece::Bytes(last)), Piece::Bytes(more)) => last.extend(more),
            (_, piece) => all.push(piece),
        };
        for chunk in output.chunks(size) {
            scanner.push(chunk).into_iter().for_each(&mut add);
        }
        let held = scanner.finish();
        if !held.is_empty() {
            add(Piece::Bytes(held));
        }
        all
    }

    #[test]
    fn a_line_is_announced_wherever_the_chunks_end() {
        let output = b"\x1eab:0000000\x1ehi\n\x1eab:0000001\x1e\x1eab:00";
        for size in 1..=output.len() {
            assert_eq!(
                scan(output, size),
                [
                    Piece::Line(0),
                    Piece::Bytes(b"hi\n".to_vec()),
                    Piece::Line(1),
                    Piece::Bytes(b"\x1eab:00".to_vec()),
                ],
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn another_shell_s_marker_and_one_out_of_turn_are_output() {
        let output = b"\x1eac:0000000\x1e\x1eab:0000001\x1e";
        assert_eq!(scan(output, 5), [Piece::Bytes(output.to_vec())]);
    }

    proptest! {
        #[test]
        fn output_without_markers_passes_unchanged(
            output in proptest::collection::vec(prop_oneof![Just(0x1e), Just(b'a'), any::<u8>()], 0..200),
            size in 1usize..50,
        ) {
            let pieces = scan(&output, size);
            let expected = if output.is_empty() { vec![] } else { vec![Piece::Bytes(output)] };
            prop_assert_eq!(pieces, expected);
        }
    }
}
