//! A line of the view: whose it is, and pieces of text with a look.
//!
//! Text becomes harmless when it enters a line, and our own codes are added when it leaves, so that nothing
//! from outside can ever stand beside a code of ours.

use cofferdam_protocol::Origin;

use super::{OURS, STEPS, expand_tabs, fitting_bytes, harmless, harmless_bytes, width};

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
}

impl Style {
    /// The parameters of "select graphic rendition" (ECMA-48, 8.3.117). The sixteen colours only: people
    /// have chosen these so that they can read them.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Wary => "33",
            Self::Busy => "36",
        }
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

    /// The line with these bytes at its end.
    #[must_use]
    pub(in crate::view) fn with_bytes(mut self, style: Style, bytes: &[u8]) -> Self {
        self.spans.push((style, harmless_bytes(bytes)));
        self
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
    to.push_str(code);
    to.push('m');
    to.push_str(text);
    to.push_str("\u{1b}[0m");
}
