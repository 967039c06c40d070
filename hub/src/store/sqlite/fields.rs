//! Columns → types. Nothing that is read from the database is believed before it has passed here.

use std::num::NonZeroU64;

use cofferdam_protocol::Seq;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};

use super::writer::Failure;

/// A row that holds what the hub never wrote.
#[derive(Debug, thiserror::Error)]
#[error("a row of {table} has a bad {column}")]
pub(super) struct BadRow {
    table: &'static str,
    column: &'static str,
    #[source]
    source: Failure,
}

/// A row, and the name of its table for [`BadRow`].
#[derive(Clone, Copy)]
pub(super) struct Fields<'r> {
    table: &'static str,
    row: &'r SqliteRow,
}

impl<'r> Fields<'r> {
    pub(super) fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { table, row }
    }

    /// A column of a plain type.
    pub(super) fn plain<T>(self, column: &'static str) -> Result<T, BadRow>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        let value = self.row.try_get(column);
        value.map_err(|source| self.bad(column, source))
    }

    /// A column of text that `parse` understands.
    pub(super) fn text<T, E: Into<Failure>>(
        self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, BadRow> {
        let text: &str = self.plain(column)?;
        parse(text).map_err(|source| self.bad(column, source))
    }

    /// As [`Self::text`], where there may be none.
    pub(super) fn text_maybe<T, E: Into<Failure>>(
        self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, BadRow> {
        let text: Option<&str> = self.plain(column)?;
        let value = text.map(parse).transpose();
        value.map_err(|source| self.bad(column, source))
    }

    /// A column that names one of a closed list.
    pub(super) fn one_of<T: Copy>(
        self,
        column: &'static str,
        list: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<T, BadRow> {
        self.text(column, |text| find(list, name, text))
    }

    /// As [`Self::one_of`], where there may be none.
    pub(super) fn one_of_maybe<T: Copy>(
        self,
        column: &'static str,
        list: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, BadRow> {
        self.text_maybe(column, |text| find(list, name, text))
    }

    /// A column of JSON.
    pub(super) fn json<T: DeserializeOwned>(self, column: &'static str) -> Result<T, BadRow> {
        self.text(column, |text| serde_json::from_str(text))
    }

    /// A column of JSON, where there may be none.
    pub(super) fn json_maybe<T: DeserializeOwned>(
        self,
        column: &'static str,
    ) -> Result<Option<T>, BadRow> {
        self.text_maybe(column, |text| serde_json::from_str(text))
    }

    /// A time.
    pub(super) fn time(self, column: &'static str) -> Result<Timestamp, BadRow> {
        self.text(column, str::parse)
    }

    /// A time, where there may be none.
    pub(super) fn time_maybe(self, column: &'static str) -> Result<Option<Timestamp>, BadRow> {
        self.text_maybe(column, str::parse)
    }

    /// A column of exactly `N` bytes.
    pub(super) fn bytes<const N: usize>(self, column: &'static str) -> Result<[u8; N], BadRow> {
        let bytes: &[u8] = self.plain(column)?;
        bytes.try_into().map_err(|_| self.length(column, N, bytes))
    }

    /// A column of exactly `N` bytes, where there may be none.
    pub(super) fn bytes_maybe<const N: usize>(
        self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, BadRow> {
        let bytes: Option<&[u8]> = self.plain(column)?;
        let array = bytes.map(|bytes| bytes.try_into().map_err(|_| self.length(column, N, bytes)));
        array.transpose()
    }

    /// The number of a report, where there may be none.
    pub(super) fn seq_maybe(self, column: &'static str) -> Result<Option<Seq>, BadRow> {
        let number: Option<NonZeroU64> = match self.plain::<Option<u64>>(column)? {
            Some(number) => {
                let number = NonZeroU64::try_from(number);
                Some(number.map_err(|source| self.bad(column, source))?)
            }
            None => None,
        };
        Ok(number.map(Seq))
    }

    /// What [`Self::plain`] says when it is `why`.
    pub(super) fn bad(self, column: &'static str, why: impl Into<Failure>) -> BadRow {
        BadRow {
            table: self.table,
            column,
            source: why.into(),
        }
    }

    fn length(self, column: &'static str, expected: usize, bytes: &[u8]) -> BadRow {
        let why = format!("{} bytes instead of {expected}", bytes.len());
        self.bad(column, why)
    }
}

fn find<T: Copy>(list: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let mut list = list.iter().copied();
    let found = list.find(|&value| name(value) == text);
    found.ok_or_else(|| format!("{text:?} means nothing here"))
}

/// A time as the database keeps it: nine digits of a second, so that text sorts as time does.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// A number as the database keeps it.
pub(super) fn integer(number: u64) -> Result<i64, std::num::TryFromIntError> {
    i64::try_from(number)
}
