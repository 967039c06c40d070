//! A terminal for tests: knows the few codes that the view may use and panics at every other control, at a colour that
//! outlives its line, and at a mark that does not look like ours.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::super::Size;

/// What a person would see, scrolled-off lines included.
pub(super) struct Screen {
    size: Size,
    /// All rows since the beginning, each with its characters and the columns they fill.
    rows: Vec<Vec<String>>,
    /// The cursor, by row of `rows` and column.
    at: (usize, usize),
    is_wrapping: bool,
    is_cursor_hidden: bool,
    /// The parameters of the last colour, until it is reset.
    look: String,
}

/// What the marks that begin a line look like, with and without colour.
const LOOKS_OF_MARKS: [&str; 3] = ["", "36", "2"];

impl Screen {
    pub(super) fn new(size: Size) -> Self {
        Self {
            size,
            rows: vec![Vec::new()],
            at: (0, 0),
            is_wrapping: true,
            is_cursor_hidden: false,
            look: String::new(),
        }
    }

    /// Obeys one write. Afterwards the terminal must be as a shell expects it.
    pub(super) fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(grapheme) = rest.graphemes(true).next() {
            rest = &rest[grapheme.len()..];
            match grapheme {
                "\r\n" => {
                    assert!(self.look.is_empty(), "a colour outlives its line");
                    self.down();
                    self.at.1 = 0;
                }
                "\r" => self.at.1 = 0,
                "\u{1b}" => rest = self.obey(rest),
                plain => self.put(plain),
            }
        }
        assert!(self.is_wrapping, "wrapping was left off");
        assert!(!self.is_cursor_hidden, "the cursor was left hidden");
    }

    /// All lines without their trailing blanks.
    pub(super) fn text(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| row.concat().trim_end().to_owned())
            .collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// The window becomes narrower or wider; what is there is broken anew, as most terminals do it.
    pub(super) fn resize(&mut self, size: Size) {
        let columns = usize::from(size.columns);
        let mut rows = Vec::new();
        for (number, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            if number == self.at.0 {
                self.at.0 = rows.len();
            }
            let mut broken = vec![Vec::new()];
            let mut used = 0;
            for cell in row {
                let width = cell.width();
                if used + width > columns {
                    broken.push(Vec::new());
                    used = 0;
                }
                used += width;
                broken.last_mut().unwrap().push(cell);
            }
            rows.extend(broken);
        }
        self.rows = rows;
        self.size = size;
    }

    fn put(&mut self, grapheme: &str) {
        assert!(!grapheme.contains(char::is_control), "{grapheme:?}");
        let is_mark = self.at.1 == 0 || ('\u{2580}'..='\u{259f}').any(|c| grapheme.contains(c));
        assert!(
            !is_mark || LOOKS_OF_MARKS.contains(&self.look.as_str()),
            "{grapheme:?} in {}",
            self.look
        );
        let columns = usize::from(self.size.columns);
        assert!(
            self.at.1 + grapheme.width() <= columns,
            "row {} is wider than {columns} columns",
            self.at.0
        );
        let row = &mut self.rows[self.at.0];
        let used: usize = row.iter().map(|cell| cell.width()).sum();
        if self.at.1 < used {
            // The view empties a row before it writes, so only a question is ever written over.
            assert_eq!(self.at.1, 0, "a row is written over from its middle");
            row.clear();
        }
        row.push(grapheme.to_owned());
        self.at.1 += grapheme.width();
    }

    fn down(&mut self) {
        self.at.0 += 1;
        if self.at.0 == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }

    fn obey<'a>(&mut self, rest: &'a str) -> &'a str {
        let body = rest.strip_prefix('[').expect("only CSI codes are ours");
        let end = body.find(|c: char| ('@'..='~').contains(&c)).unwrap();
        let (parameters, code) = body[..=end].split_at(end);
        match (parameters, code) {
            ("?7", "l") => self.is_wrapping = false,
            ("?7", "h") => self.is_wrapping = true,
            ("?25", "l") => self.is_cursor_hidden = true,
            ("?25", "h") => self.is_cursor_hidden = false,
            ("2", "K") => self.rows[self.at.0].clear(),
            ("", "J") => {
                self.rows.truncate(self.at.0 + 1);
                assert_eq!(self.at.1, 0, "emptied from the middle of a row");
                self.rows[self.at.0].clear();
            }
            (rows, "A") => {
                let rows: usize = rows.parse().unwrap();
                let top = self.rows.len().saturating_sub(usize::from(self.size.rows));
                self.at.0 = self.at.0.saturating_sub(rows).max(top);
            }
            ("0", "m") => self.look.clear(),
            (look, "m") => {
                assert!(self.look.is_empty(), "a colour within a colour");
                assert!(!paints_more_than_text(look), "{look}");
                look.clone_into(&mut self.look);
            }
            _ => panic!("unforeseen code {parameters}{code}"),
        }
        &body[end + 1..]
    }
}

/// Whether a colour is one of the background, is inverse or hidden, or is no colour at all.
fn paints_more_than_text(look: &str) -> bool {
    let mut codes = look.split(';').map(|code| code.parse::<u8>().unwrap());
    while let Some(code) = codes.next() {
        match code {
            1..=4 | 30..=37 | 90..=97 => {}
            38 => match codes.next() {
                Some(2) => _ = codes.nth(2).unwrap(),
                Some(5) => _ = codes.next().unwrap(),
                _ => return true,
            },
            _ => return true,
        }
    }
    false
}
