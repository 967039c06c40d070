//! A line of the view: whose it is, and pieces of text with a look.
//!
//! Text becomes harmless when it enters a line, and our own codes are added when it leaves, so that nothing
//! from outside can ever stand beside a code of ours. The colours of a step are codes of ours too: see `colour`.

use std::borrow::Cow;

use cofferdam_protocol::Origin;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthChar as _;

use super::colour::{self, Look};
use super::{
    Harmless, OURS, STEPS, expand_tabs, expand_tabs_from, fitting_bytes, harmless, harmless_bytes,
    width,
};

/// Columns of the mark that begins a line, and the space behind it.
pub(in crate::view) const BAR_COLUMNS: usize = 2;

/// Who speaks in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::view) enum Whose {
    /// Cofferdam.
    Ours,
    /// A step.
    Step,
}

impl From<Origin> for Whose {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::System => Self::Ours,
            Origin::Stdout | Origin::Stderr => Self::Step,
        }
    }
}

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::view) enum Style {
    /// As the terminal's text.
    Plain,
    /// What a person looks for.
    Strong,
    /// What a person rarely looks for.
    Dim,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// News that asks for a look.
    Wary,
    /// What goes on.
    Busy,
    /// As a step wants its own text to look.
    Theirs(Look),
}

impl Style {
    /// The parameters of "select graphic rendition" (ECMA-48, 8.3.117). The sixteen colours only: people
    /// have chosen these so that they can read them.
    fn code(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Wary => "33",
            Self::Busy => "36",
            Self::Theirs(look) => return Cow::Owned(look.code()),
        })
    }
}

/// A line, not cut yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::view) struct Line {
    whose: Whose,
    spans: Vec<(Style, String)>,
}

impl Line {
    /// An empty line of Cofferdam.
    pub(in crate::view) const fn ours() -> Self {
        Self::of(Whose::Ours)
    }

    /// An empty line of this speaker.
    pub(in crate::view) const fn of(whose: Whose) -> Self {
        Self {
            whose,
            spans: Vec::new(),
        }
    }

    /// The line with this text at its end.
    #[must_use]
    pub(in crate::view) fn with(mut self, style: Style, text: &str) -> Self {
        self.spans.push((style, harmless(text)));
        self
    }

    /// The line with these bytes at its end, all of one look.
    #[must_use]
    pub(in crate::view) fn with_bytes(mut self, style: Style, bytes: &[u8]) -> Self {
        self.spans.push((style, harmless_bytes(bytes)));
        self
    }

    /// The line with these bytes of a log at its end, in their own colours.
    #[must_use]
    pub(in crate::view) fn with_log(mut self, bytes: &[u8]) -> Self {
        let mut marks = 0;
        for (look, piece) in colour::pieces(bytes) {
            let text = String::new();
            let mut harmless = Harmless { text, marks };
            harmless.put_bytes(piece);
            marks = harmless.marks;
            // A mark has the look of what it stands upon, or the width of both would be another.
            let is_mark = |character: char| character.width() == Some(0);
            let own = harmless.text.trim_start_matches(is_mark);
            let (theirs, own) = harmless.text.split_at(harmless.text.len() - own.len());
            match self.spans.last_mut() {
                Some((_, before)) => before.push_str(theirs),
                None => self.push(Style::Theirs(look), theirs),
            }
            self.push(Style::Theirs(look), own);
        }
        self
    }

    fn push(&mut self, style: Style, text: &str) {
        match self.spans.last_mut() {
            _ if text.is_empty() => {}
            Some((last, before)) if *last == style => before.push_str(text),
            _ => self.spans.push((style, text.to_owned())),
        }
    }

    /// The line with a bar of a speaker's colour at its end: what follows is theirs.
    #[must_use]
    pub(in crate::view) fn with_bar(mut self, whose: Whose) -> Self {
        let (style, mark) = bar(whose);
        self.spans.push((style, format!(" {mark} ")));
        self
    }

    /// Columns it takes with nothing cut.
    pub(in crate::view) fn columns(&self) -> usize {
        let texts = self.spans.iter().map(|(_, text)| width(&expand_tabs(text)));
        BAR_COLUMNS + texts.sum::<usize>()
    }

    /// The line on as many as it takes, cut at any character, each of the same speaker. Never none.
    pub(in crate::view) fn folded(&self, columns: usize) -> Vec<Self> {
        let room = columns.saturating_sub(BAR_COLUMNS).max(1);
        let mut lines = Vec::new();
        let mut line = Self::of(self.whose);
        let (mut column, mut used) = (0, 0);
        for (style, span) in &self.spans {
            let span = expand_tabs_from(&mut column, span);
            for grapheme in span.graphemes(true) {
                let columns = width(grapheme);
                if used > 0 && used + columns > room {
                    lines.push(std::mem::replace(&mut line, Self::of(self.whose)));
                    used = 0;
                }
                line.push(*style, grapheme);
                used += columns;
            }
        }
        lines.push(line);
        lines
    }

    /// The line as text without its end: at most so many columns, or all of it, tabs included.
    pub(in crate::view) fn render(&self, columns: Option<usize>, is_coloured: bool) -> String {
        let (style, mark) = bar(self.whose);
        let mut text = String::new();
        put(&mut text, style, &mark.to_string(), is_coloured);
        if self.spans.iter().all(|(_, span)| span.is_empty()) {
            return text;
        }
        let Some(columns) = columns else {
            text.push(' ');
            for (style, span) in &self.spans {
                put(&mut text, *style, span, is_coloured);
            }
            return text;
        };
        if columns > BAR_COLUMNS {
            text.push(' ');
            self.put_cut(&mut text, columns - BAR_COLUMNS, is_coloured);
        }
        text
    }

    /// Appends the spans, cut to so many columns.
    fn put_cut(&self, to: &mut String, columns: usize, is_coloured: bool) {
        let is_cut = self.columns() > BAR_COLUMNS + columns;
        let mut room = columns - usize::from(is_cut);
        for (style, span) in &self.spans {
            let mut span = expand_tabs(span);
            if width(&span) > room {
                span.truncate(fitting_bytes(&span, room));
                span.push('…');
                put(to, *style, &span, is_coloured);
                return;
            }
            room -= width(&span);
            put(to, *style, &span, is_coloured);
        }
    }
}

const fn bar(whose: Whose) -> (Style, char) {
    match whose {
        Whose::Ours => (Style::Busy, OURS),
        Whose::Step => (Style::Dim, STEPS),
    }
}

fn put(to: &mut String, style: Style, text: &str, is_coloured: bool) {
    let code = style.code();
    if !is_coloured || code.is_empty() || text.is_empty() {
        to.push_str(text);
        return;
    }
    to.push_str("\u{1b}[");
    to.push_str(&code);
    to.push('m');
    to.push_str(text);
    to.push_str("\u{1b}[0m");
}
