//! The log of a step while it runs: the last lines, and the very last one to show beside its name.

use std::collections::VecDeque;

use cofferdam_protocol::Origin;

use super::lines::{LineEnd, Splitter};

/// Bytes kept of a step's log. More than anyone reads of a failure; a hundred steps at once stay at 100 MiB.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Longest line that is kept whole: a compiler's longest fits, and a line never fills many screens.
const LINE_BYTES_MAX: usize = 4096;

/// What keeping a line costs beside its bytes, so that a million empty ones are bounded too.
const LINE_COST_BYTES: usize = 64;

/// Whole lines that are looked at for one that is not blank.
const LOOKED_AT_MAX: usize = 16;

/// A log, folded.
#[derive(Debug, Default)]
pub(in crate::view) struct Fold {
    writers: [Writer; 3],
    kept: Kept,
    latest: Option<FoldedLine>,
}

/// Whole lines within the bound.
#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<FoldedLine>,
    cost_bytes: usize,
    dropped: u64,
}

/// A line and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::view) struct FoldedLine {
    pub(in crate::view) origin: Origin,
    pub(in crate::view) bytes: Vec<u8>,
}

/// One origin's line that is not whole yet.
#[derive(Debug)]
struct Writer {
    splitter: Splitter,
    /// What it showed last before a carriage return; blanks written over it do not count, for they would
    /// hide it.
    overwritten: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(LINE_BYTES_MAX),
            overwritten: Vec::new(),
        }
    }
}

impl Fold {
    /// Takes the next bytes.
    pub(in crate::view) fn take(&mut self, origin: Origin, bytes: &[u8]) {
        let Self {
            writers,
            kept,
            latest,
        } = self;
        let Writer {
            splitter,
            overwritten,
        } = &mut writers[usize::from(origin.code())];
        splitter.take(bytes, &mut |line, end| {
            if let Some(bytes) = finish(overwritten, line, end) {
                kept.push(FoldedLine { origin, bytes });
            }
        });
        // What is being written is the latest, unless the chunk ended with whole lines.
        let shown = match splitter.open() {
            open if is_blank(open) => overwritten.as_slice(),
            open => open,
        };
        let is_this = |line: &&FoldedLine| line.origin == origin && !is_blank(&line.bytes);
        let whole = || kept.lines.iter().rev().take(LOOKED_AT_MAX).find(is_this);
        if !shown.is_empty() {
            let bytes = shown.to_vec();
            *latest = Some(FoldedLine { origin, bytes });
        } else if let Some(line) = whole() {
            *latest = Some(line.clone());
        }
    }

    /// Ends the lines that are not whole.
    pub(in crate::view) fn close(&mut self) {
        for origin in [Origin::System, Origin::Stdout, Origin::Stderr] {
            let Writer {
                splitter,
                overwritten,
            } = &mut self.writers[usize::from(origin.code())];
            let kept = &mut self.kept;
            splitter.close(&mut |line, end| {
                if let Some(bytes) = finish(overwritten, line, end) {
                    kept.push(FoldedLine { origin, bytes });
                }
            });
            let bytes = std::mem::take(overwritten);
            if !bytes.is_empty() {
                kept.push(FoldedLine { origin, bytes });
            }
        }
    }

    /// The last line that is not blank, whole or not.
    pub(in crate::view) const fn latest(&self) -> Option<&FoldedLine> {
        self.latest.as_ref()
    }

    /// The last lines, oldest first.
    pub(in crate::view) const fn lines(&self) -> &VecDeque<FoldedLine> {
        &self.kept.lines
    }

    /// How many lines came before those.
    pub(in crate::view) const fn dropped(&self) -> u64 {
        self.kept.dropped
    }
}

impl Kept {
    fn push(&mut self, line: FoldedLine) {
        self.cost_bytes += line.bytes.len() + LINE_COST_BYTES;
        self.lines.push_back(line);
        while self.cost_bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.cost_bytes -= oldest.bytes.len() + LINE_COST_BYTES;
            self.dropped += 1;
        }
    }
}

/// What a line becomes when it ends like this; `None` while it may be written over.
fn finish(overwritten: &mut Vec<u8>, line: &[u8], end: LineEnd) -> Option<Vec<u8>> {
    if end == LineEnd::Return {
        if !is_blank(line) {
            *overwritten = line.to_vec();
        }
        return None;
    }
    let before = std::mem::take(overwritten);
    let is_hidden = is_blank(line) && !before.is_empty();
    Some(if is_hidden { before } else { line.to_vec() })
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}
