//! Bytes in pieces of any size → lines of bounded length.
//!
//! A line ends at a line feed, at a carriage return, or at both. A carriage return begins the line anew on
//! a terminal, so it is told apart: a progress bar is one line that is written many times.

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::view) enum LineEnd {
    /// A line feed, or the end of the log.
    Feed,
    /// A carriage return with more behind it.
    Return,
    /// It grew too long; the rest of it comes as another line.
    Full,
}

/// What a line that is not whole yet needs to be remembered by.
#[derive(Debug)]
pub(in crate::view) struct Splitter {
    open: Vec<u8>,
    is_after_return: bool,
    line_bytes_max: usize,
}

impl Splitter {
    /// Cuts lines at this length, which is at least the four bytes of a character.
    pub(in crate::view) const fn new(line_bytes_max: usize) -> Self {
        Self {
            open: Vec::new(),
            is_after_return: false,
            line_bytes_max,
        }
    }

    /// The line that is not whole yet.
    pub(in crate::view) fn open(&self) -> &[u8] {
        &self.open
    }

    /// Takes the next bytes and tells every line that they end.
    pub(in crate::view) fn take(&mut self, bytes: &[u8], tell: &mut dyn FnMut(&[u8], LineEnd)) {
        let mut rest = bytes;
        while let Some(&next) = rest.first() {
            if self.is_after_return {
                self.is_after_return = next == b'\r';
                match next {
                    b'\n' => self.end(LineEnd::Feed, tell),
                    b'\r' => {}
                    // An empty line that nothing was written over says nothing.
                    _ if self.open.is_empty() => continue,
                    _ => {
                        self.end(LineEnd::Return, tell);
                        continue;
                    }
                }
                rest = &rest[1..];
                continue;
            }
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            let length = rest.iter().position(is_end).unwrap_or(rest.len());
            self.grow(&rest[..length], tell);
            match rest.get(length) {
                Some(b'\n') => self.end(LineEnd::Feed, tell),
                Some(_) => self.is_after_return = true,
                None => {}
            }
            rest = rest.get(length + 1..).unwrap_or_default();
        }
    }

    /// Tells the line that is not whole: nothing follows.
    pub(in crate::view) fn close(&mut self, tell: &mut dyn FnMut(&[u8], LineEnd)) {
        self.is_after_return = false;
        if !self.open.is_empty() {
            self.end(LineEnd::Feed, tell);
        }
    }

    fn end(&mut self, end: LineEnd, tell: &mut dyn FnMut(&[u8], LineEnd)) {
        tell(&self.open, end);
        self.open.clear();
    }

    fn grow(&mut self, bytes: &[u8], tell: &mut dyn FnMut(&[u8], LineEnd)) {
        let mut rest = bytes;
        while self.open.len() + rest.len() > self.line_bytes_max {
            // One byte more than fits shows whether a character ends here.
            let (next, left) = rest.split_at(self.line_bytes_max + 1 - self.open.len());
            self.open.extend_from_slice(next);
            let length = character_boundary(&self.open, self.line_bytes_max);
            let begun = self.open.split_off(length);
            self.end(LineEnd::Full, tell);
            self.open = begun;
            rest = left;
        }
        self.open.extend_from_slice(rest);
    }
}

/// The last place up to `most` where a UTF-8 character begins, or `most` where the bytes are none.
fn character_boundary(bytes: &[u8], most: usize) -> usize {
    let is_begin = |at: &usize| bytes[*at] & 0b1100_0000 != 0b1000_0000;
    (most.saturating_sub(3).max(1)..=most)
        .rev()
        .find(is_begin)
        .unwrap_or(most)
}
