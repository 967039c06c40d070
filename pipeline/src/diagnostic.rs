//! What is wrong with a file, or odd about it, for the person who wrote it.
//!
//! Made by every station of [`resolve`](crate::resolve), read by people: in a build's page, in a terminal, in a local
//! run. A diagnostic holds text of a hostile file, so only [`Diagnostic::render`] makes it fit for a terminal.

mod render;

use std::collections::BTreeSet;

/// Remarks of one severity that are kept; the rest is counted.
/// Nobody reads further than this in one sitting, and a hostile file cannot fill a database with remarks.
const REMARKS_MAX: usize = 50;

/// Characters of the file that one message quotes. A pattern or a key fits; a script line is cut.
const QUOTE_CHARS_MAX: usize = 60;

/// Whether the file can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused: no build is made of it.
    Error,
    /// The file is used, and something in it does not do what its author may expect.
    Warning,
}

/// One remark about one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Names the kind of mistake in words that do not change: `duplicate-key`.
    pub code: &'static str,
    pub span: Span,
    /// What is wrong, in one sentence without a full stop. May hold text of the file as it stands there.
    pub message: String,
    /// What to write instead, if we know.
    pub help: Option<String>,
}

/// A place in the file. Lines and columns count from 1; columns count characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    /// The first column that no longer belongs to the place.
    pub end_column: u32,
}

impl Span {
    /// The first character of a line.
    pub(crate) const fn at_line(line: u32) -> Self {
        Self {
            line,
            column: 1,
            end_line: line,
            end_column: 2,
        }
    }
}

/// Collects remarks while a file is read.
#[derive(Debug)]
pub(crate) struct Report {
    errors: Shelf,
    warnings: Shelf,
}

/// The remarks of one severity.
#[derive(Debug)]
struct Shelf {
    /// Remarks that are kept.
    room: usize,
    kept: Vec<Diagnostic>,
    dropped: usize,
    /// A node behind an alias is read once per use; its mistakes are reported once.
    seen: BTreeSet<(&'static str, Span)>,
}

/// A remark that was just made and may still be given a help.
#[derive(Debug)]
pub(crate) struct Remark<'a>(Option<&'a mut Diagnostic>);

impl Remark<'_> {
    /// Says what to write instead.
    pub(crate) fn help(self, help: impl Into<String>) {
        if let Some(diagnostic) = self.0 {
            diagnostic.help = Some(help.into());
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::with_room(REMARKS_MAX)
    }
}

impl Report {
    /// A report that keeps so many remarks of each severity.
    pub(crate) fn with_room(room: usize) -> Self {
        let shelf = || Shelf {
            room,
            kept: Vec::new(),
            dropped: 0,
            seen: BTreeSet::new(),
        };
        Self {
            errors: shelf(),
            warnings: shelf(),
        }
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Remark<'_> {
        self.errors.put(Severity::Error, code, span, message.into())
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Remark<'_> {
        self.warnings
            .put(Severity::Warning, code, span, message.into())
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.kept.is_empty()
    }

    /// Whether a further remark would only be counted. Whoever would search long for an explanation need not.
    pub(crate) fn is_full(&self, severity: Severity) -> bool {
        let remarks = match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        remarks.kept.len() >= remarks.room
    }

    /// All remarks in the order of the file, those that were only counted as a last one of each severity.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let Self { errors, warnings } = self;
        let counted = [
            errors.counted(Severity::Error, "more-errors"),
            warnings.counted(Severity::Warning, "more-warnings"),
        ];
        let mut all = errors.kept;
        all.extend(warnings.kept);
        all.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
        all.extend(counted.into_iter().flatten());
        all
    }
}

impl Shelf {
    fn put(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Span,
        message: String,
    ) -> Remark<'_> {
        if self.kept.len() < self.room {
            if !self.seen.insert((code, span)) {
                return Remark(None);
            }
            self.kept.push(Diagnostic {
                severity,
                code,
                span,
                message,
                help: None,
            });
            return Remark(self.kept.last_mut());
        }
        if !self.seen.contains(&(code, span)) {
            self.dropped += 1;
        }
        Remark(None)
    }

    fn counted(&self, severity: Severity, code: &'static str) -> Option<Diagnostic> {
        let span = self.kept.last()?.span;
        let noun = match severity {
            Severity::Error => "errors",
            Severity::Warning => "warnings",
        };
        let message = match self.dropped {
            0 => return None,
            dropped => format!("and {dropped} more {noun} that are not shown"),
        };
        Some(Diagnostic {
            severity,
            code,
            span,
            message,
            help: None,
        })
    }
}

/// Text of the file between backticks, cut to a length that fits a message.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}
