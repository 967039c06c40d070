//! A TOML file whose mistakes are shown where they stand: every value knows its place.
//!
//! From text to tables that can be asked for a key of a form; what has another form becomes a remark with line, column and
//! what to write instead, and reading goes on. What the keys mean is not known here.

use std::ops::Range;
use std::str::FromStr;

use cofferdam_pipeline::{Diagnostic, Severity, Span};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Remarks that are kept. Nobody mends more at once.
const REMARKS_MAX: usize = 50;

/// Characters of a text of the file that a remark quotes.
const QUOTE_CHARS_MAX: usize = 60;

/// Collects what is wrong with a file.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    remarks: Vec<Diagnostic>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let remarks = Vec::new();
        Self { text, remarks }
    }

    /// Notes a mistake. `at` are bytes of the file.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(Diagnostic {
                severity: Severity::Error,
                code,
                span: span(self.text, at),
                message: message.into(),
                help,
            });
        }
    }

    /// Notes that a value is not what it has to be: why, as the end of a sentence about it.
    pub(super) fn bad_value(&mut self, key: &str, at: &Range<usize>, why: impl std::fmt::Display) {
        let found = quote(self.text.get(at.clone()).unwrap_or_default());
        self.error("bad-value", at, format!("`{key}`: {found} {why}"), None);
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: &Range<usize>) -> u32 {
        span(self.text, at).line
    }

    /// What was noted, in the order of the file.
    pub(super) fn into_remarks(mut self) -> Vec<Diagnostic> {
        self.remarks.sort_by_key(|remark| remark.span);
        self.remarks
    }
}

fn span(text: &str, at: &Range<usize>) -> Span {
    let place = |offset: usize| {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let before = &text[..offset];
        let begin = before.rfind('\n').map_or(0, |feed| feed + 1);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        (
            count(before.matches('\n').count()),
            count(before[begin..].chars().count()),
        )
    };
    let (line, column) = place(at.start);
    let (end_line, end_column) = place(at.end.max(at.start));
    Span {
        line,
        column,
        end_line,
        end_column,
    }
}

/// Text of the file on one line, cut to a length that fits a message.
fn quote(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let quoted: String = line.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        format!("`{quoted}…`")
    } else {
        format!("`{quoted}`")
    }
}

/// Reads a whole file. `None`: it is no TOML, which was noted.
pub(super) fn parse<'t>(text: &'t str, report: &mut Report<'_>) -> Option<DeTable<'t>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().unwrap_or_default();
        report.error("syntax", &at, error.message(), None);
    }
    errors.is_empty().then(|| root.into_inner())
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Table<'d, 't> {
    /// Its name with that of its table, and a dot behind; empty for the whole file.
    path: String,
    entries: &'d DeTable<'t>,
}

/// One key of a table and its value.
#[derive(Debug)]
pub(super) struct Entry<'d, 't> {
    /// With the names of its tables.
    pub(super) path: String,
    /// Where the key stands.
    pub(super) at: Range<usize>,
    value: &'d Spanned<DeValue<'t>>,
}

impl<'d, 't> Table<'d, 't> {
    pub(super) fn root(entries: &'d DeTable<'t>) -> Self {
        let path = String::new();
        Self { path, entries }
    }

    /// The entry of that name, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Entry<'d, 't>> {
        let (key, value) = self.entries.get_key_value(name)?;
        Some(self.entry(key, value))
    }

    /// Every entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'d, 't>> {
        self.entries
            .iter()
            .map(|(key, value)| self.entry(key, value))
    }

    /// The table of that name, if it is there and one.
    pub(super) fn table(&self, name: &str, report: &mut Report<'_>) -> Option<Table<'d, 't>> {
        self.get(name)?.table(report)
    }

    fn entry(&self, key: &Spanned<DeString<'t>>, value: &'d Spanned<DeValue<'t>>) -> Entry<'d, 't> {
        Entry {
            path: format!("{}{}", self.path, key.get_ref()),
            at: key.span(),
            value,
        }
    }
}

impl<'d, 't> Entry<'d, 't> {
    /// The value as a table.
    pub(super) fn table(&self, report: &mut Report<'_>) -> Option<Table<'d, 't>> {
        if let DeValue::Table(entries) = self.value.get_ref() {
            let path = format!("{}.", self.path);
            return Some(Table { path, entries });
        }
        let help = Some(format!("write `[{}]` and its keys below", self.path));
        let message = format!("`{}` is a table, and this is {}", self.path, self.found());
        report.error("wrong-kind", &self.value.span(), message, help);
        None
    }

    /// Whether the value is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    /// Whether the value is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Array(_))
    }

    /// The value as a text, and where it stands.
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<(&'d str, Range<usize>)> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind("a text in quotes", report);
        }
        Some((text?, self.value.span()))
    }

    /// The value as a number that is not negative.
    pub(super) fn number(&self, report: &mut Report<'_>) -> Option<u64> {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong_kind("a whole number", report);
        }
        number
    }

    /// The value as `true` or `false`.
    pub(super) fn truth(&self, report: &mut Report<'_>) -> Option<bool> {
        let truth = self.value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_kind("`true` or `false`", report);
        }
        truth
    }

    /// The value as something that is written as a text.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        report: &mut Report<'_>,
    ) -> Option<T> {
        let (text, at) = self.text(report)?;
        text.parse()
            .map_err(|why| report.bad_value(&self.path, &at, why))
            .ok()
    }

    /// The value as a list of texts, each with its place. One that is no text is noted and left out.
    pub(super) fn list(&self, report: &mut Report<'_>) -> Option<Vec<(&'d str, Range<usize>)>> {
        let Some(items) = self.value.get_ref().as_array() else {
            self.wrong_kind("a list of texts, `[\"…\"]`", report);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text, item.span())),
                None => report.bad_value(&self.path, &item.span(), "is no text in quotes"),
            }
        }
        Some(texts)
    }

    /// Where the value stands.
    pub(super) fn value_at(&self) -> Range<usize> {
        self.value.span()
    }

    /// Whether the value is this text.
    pub(super) fn is(&self, text: &str) -> bool {
        self.value.get_ref().as_str() == Some(text)
    }

    /// Notes that the value should have been something else.
    pub(super) fn wrong_kind(&self, wanted: &str, report: &mut Report<'_>) {
        let message = format!("`{}` is {wanted}, and this is {}", self.path, self.found());
        report.error("wrong-kind", &self.value.span(), message, None);
    }

    fn found(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}
