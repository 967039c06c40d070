//! The step's output on the way to the user's own standard output and standard error.
//!
//! Bytes pass unchanged to a file or a pipe, but for the values of secrets. A terminal obeys escape sequences, and the step's author is
//! not its owner: there, every control character but tab, carriage return and newline is shown instead of
//! obeyed. UTF-8 stays what it is.

use std::io::{self, IsTerminal as _};

use async_trait::async_trait;
use cofferdam_protocol::Origin;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::log::LogSink;
use crate::mask::{MaskedStream, Masks};

/// Both outputs of this process.
#[derive(Debug)]
pub(super) struct Outputs {
    stdout: Mutex<Output<tokio::io::Stdout>>,
    stderr: Mutex<Output<tokio::io::Stderr>>,
    failed: Mutex<Option<io::Error>>,
    masks: Masks,
    /// Cancelled when nobody takes the output any more.
    cancel: CancellationToken,
}

#[derive(Debug)]
struct Output<W> {
    to: W,
    masked: MaskedStream,
    /// For a terminal only.
    harmless: Option<Harmless>,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.harmless {
            None => self.to.write_all(bytes).await?,
            Some(harmless) => self.to.write_all(&harmless.pass(bytes)).await?,
        }
        self.to.flush().await
    }
}

impl Outputs {
    /// Writes to this process's own; cancels the step when one of them cannot be written to.
    pub(super) fn new(cancel: CancellationToken, masks: Masks) -> Self {
        Self {
            stdout: Mutex::new(Output {
                to: tokio::io::stdout(),
                masked: MaskedStream::default(),
                harmless: io::stdout().is_terminal().then(Harmless::default),
            }),
            stderr: Mutex::new(Output {
                to: tokio::io::stderr(),
                masked: MaskedStream::default(),
                harmless: io::stderr().is_terminal().then(Harmless::default),
            }),
            failed: Mutex::new(None),
            masks,
            cancel,
        }
    }

    /// Shows what was held back because it might have been the beginning of a secret.
    pub(super) async fn finish(&self) {
        let rest = self.stdout.lock().await.masked.finish(&self.masks);
        self.show(Origin::Stdout, &rest).await;
        let rest = self.stderr.lock().await.masked.finish(&self.masks);
        self.show(Origin::Stderr, &rest).await;
    }

    async fn show(&self, origin: Origin, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let written = match origin {
            Origin::Stdout => self.stdout.lock().await.write(bytes).await,
            Origin::Stderr | Origin::System => self.stderr.lock().await.write(bytes).await,
        };
        if let Err(error) = written {
            self.failed.lock().await.get_or_insert(error);
            self.cancel.cancel();
        }
    }

    /// Why output could not be passed on, if it could not.
    pub(super) fn into_failure(self) -> Option<io::Error> {
        self.failed.into_inner()
    }
}

#[async_trait]
impl LogSink for Outputs {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        let shown = match origin {
            Origin::Stdout => self.stdout.lock().await.masked.take(&self.masks, bytes),
            Origin::Stderr => self.stderr.lock().await.masked.take(&self.masks, bytes),
            // Always one whole line.
            Origin::System => {
                let line = [b"cofferdam: ", bytes].concat();
                self.stderr.lock().await.masked.take(&self.masks, &line)
            }
        };
        self.show(origin, &shown).await;
    }
}

/// Makes a stream of bytes harmless for a terminal.
#[derive(Clone, Debug, Default)]
struct Harmless {
    /// The beginning of a character whose end has not come yet: three bytes at most.
    pending: Vec<u8>,
}

impl Harmless {
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(all.len());
        for chunk in all.utf8_chunks() {
            for char in chunk.valid().chars() {
                show(char, &mut out);
            }
            let rest = chunk.invalid();
            let is_last = std::ptr::eq(rest.as_ptr_range().end, all.as_ptr_range().end);
            if is_last && may_go_on(rest) {
                self.pending = rest.to_vec();
            } else if !rest.is_empty() {
                show(char::REPLACEMENT_CHARACTER, &mut out);
            }
        }
        out
    }
}

/// Whether more bytes could still make a character of this.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn show(char: char, out: &mut Vec<u8>) {
    if char.is_control() && !matches!(char, '\n' | '\r' | '\t') {
        out.extend(char.escape_unicode().to_string().bytes());
    } else {
        out.extend(char.encode_utf8(&mut [0; 4]).bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]]) -> String {
        let mut harmless = Harmless::default();
        let passed = pieces
            .iter()
            .flat_map(|piece| harmless.pass(piece))
            .collect();
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn a_terminal_is_shown_control_characters_and_obeys_none() {
        for (bytes, expected) in [
            (&b"plain\ttext\r\n"[..], "plain\ttext\r\n"),
            ("naïve ✓ 日本 🦀".as_bytes(), "naïve ✓ 日本 🦀"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            // C1 as UTF-8, and C1 as the single byte that an 8-bit terminal obeys.
            (b"\xc2\x9b31m", "\\u{9b}31m"),
            (b"\x9b31m", "\u{fffd}31m"),
            (b"a\x08b\x7f", "a\\u{8}b\\u{7f}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(check(&[bytes]), expected);
        }
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        assert_eq!(check(&[b"\xf0\x9f", b"\xa6", b"\x80!"]), "🦀!");
        assert_eq!(check(&[b"\xc2", b"\x9b31m"]), "\\u{9b}31m");
        assert_eq!(check(&[b"\xf0\x9f", b"x"]), "\u{fffd}x");
    }
}
