//! A row of the debugger's table, as the page and its live part both send it.

use askama::Template;

use super::choice::Choice;
use crate::pages::event::address;
use crate::seen::{Channel, Outcome, Row, RowKind};
use crate::words;

/// How the rows of one page are laid out.
#[derive(Clone)]
pub(super) struct Layout {
    pub(super) choice: Choice,
    /// The connections that have a column of their own; none: one for all.
    pub(super) columns: Vec<String>,
    /// The record beside the table, as an address has it.
    pub(super) selected: Option<String>,
}

/// A row, ready to be shown.
#[derive(Template)]
#[template(path = "debugger_line.html")]
pub(super) struct Line {
    /// The record as an address has it.
    pub(super) address: String,
    pub(super) href: String,
    pub(super) clock: String,
    pub(super) exact: String,
    pub(super) channel: Channel,
    pub(super) name: String,
    pub(super) person: String,
    pub(super) cells: Vec<Cell>,
    pub(super) took: String,
    /// Whether more will happen to it.
    pub(super) is_open: bool,
    pub(super) is_selected: bool,
}

/// What became of it, in one or more columns.
pub(super) struct Cell {
    pub(super) span: usize,
    pub(super) ends: Vec<End>,
}

/// What became of it, once.
pub(super) struct End {
    pub(super) class: &'static str,
    pub(super) word: String,
    pub(super) reason: String,
    /// Where the column does not say it.
    pub(super) connection: Option<String>,
}

impl Layout {
    pub(super) fn line(&self, row: &Row) -> Line {
        let address = address(&row.place);
        Line {
            href: self.choice.href([("record", address.as_str())]),
            clock: words::clock(row.received_at),
            exact: words::exact(row.received_at),
            channel: row.channel,
            name: row.name.clone(),
            person: row.person.clone().unwrap_or_default(),
            cells: self.cells(row),
            took: took(row).map(words::ms).unwrap_or_default(),
            is_open: is_open(row),
            is_selected: self.selected.as_ref() == Some(&address),
            address,
        }
    }

    fn cells(&self, row: &Row) -> Vec<Cell> {
        if let Some(end) = kind(row) {
            let span = self.columns.len().max(1);
            return vec![Cell {
                span,
                ends: vec![end],
            }];
        }
        let ends = row.ends.iter();
        if self.columns.is_empty() {
            let many = row.ends.len() > 1;
            let ends = ends.map(|each| {
                let connection = each.connection.clone();
                end(&each.outcome, many.then_some(connection))
            });
            return vec![Cell {
                span: 1,
                ends: ends.collect(),
            }];
        }
        let cell = |column: &String| {
            let of_it = row.ends.iter().filter(|each| each.connection == *column);
            Cell {
                span: 1,
                ends: of_it.map(|each| end(&each.outcome, None)).collect(),
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

fn end(outcome: &Outcome, connection: Option<String>) -> End {
    End {
        class: words::outcome_class(outcome),
        word: words::outcome(outcome).to_owned(),
        reason: words::outcome_reason(outcome).to_owned(),
        connection,
    }
}

/// What stands for outcomes where the record is not simply an event.
fn kind(row: &Row) -> Option<End> {
    let (class, word, reason) = match &row.kind {
        RowKind::Event => return None,
        RowKind::Unusable { reason } => ("bad", "unusable", reason.clone()),
        RowKind::Test => ("idle", "test", "no metric, so it is not sent".to_owned()),
        RowKind::Duplicate { of } => {
            let reason = format!("of record {of}, not sent again");
            ("idle", "repeat", reason)
        }
        RowKind::Fresh => ("idle", "fresh", "nobody has looked at it yet".to_owned()),
    };
    Some(End {
        class,
        word: word.to_owned(),
        reason,
        connection: None,
    })
}

/// From receipt until the last connection had it, in milliseconds.
fn took(row: &Row) -> Option<f64> {
    let ends = row.ends.iter().filter(|_| row.kind == RowKind::Event);
    let each = ends.filter_map(|end| match end.outcome {
        Outcome::Accepted { took_ms } => took_ms,
        _ => None,
    });
    each.reduce(f64::max)
}

/// Whether more will happen to it.
pub(super) fn is_open(row: &Row) -> bool {
    let waits = |outcome: &Outcome| matches!(outcome, Outcome::Waiting { .. });
    row.kind == RowKind::Fresh || row.ends.iter().any(|end| waits(&end.outcome))
}
