//! Tables as the page's template shows them.

use super::number::MISSING;
use serde::Serialize;

/// A table with a caption.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Table {
    /// Unique on the page.
    pub(super) id: String,
    pub(super) caption: String,
    pub(super) columns: Vec<String>,
    /// Rows that belong together.
    pub(super) groups: Vec<Vec<Vec<Cell>>>,
    /// What a reader of the numbers must know.
    pub(super) notes: Vec<String>,
}

/// One cell.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Below it and smaller: an interval.
    pub(super) detail: Option<String>,
    /// Names the row.
    pub(super) is_head: bool,
    /// Columns that it covers beyond its own.
    pub(super) n_more_columns: usize,
    pub(super) mark: Option<Mark>,
    /// Why there is no value.
    pub(super) missing: Option<&'static str>,
}

/// What a cell is marked with, by a sign beside its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// A significant loss.
    Lost,
    /// A significant gain.
    Gained,
}

impl Cell {
    pub(super) fn head(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_head: true, ..Self::default() }
    }

    pub(super) fn value(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn missing(why: &'static str) -> Self {
        Self { text: MISSING.to_owned(), missing: Some(why), ..Self::default() }
    }

    pub(super) fn value_or(text: Option<String>, why: &'static str) -> Self {
        text.map_or_else(|| Self::missing(why), Self::value)
    }

    pub(super) fn with_detail(self, detail: Option<String>) -> Self {
        Self { detail, ..self }
    }
}
