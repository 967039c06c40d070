//! What is wrong with a file, or odd about it, for the person who wrote it.
//!
//! Made by every station of [`resolve`](crate::resolve), read by people: in a build's page, in a terminal, in a local
//! run. A diagnostic holds text of a hostile file, so only [`Diagnostic::render`] makes it fit for a terminal.

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
