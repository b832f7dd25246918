//! Lists of messages: which part is asked for, read few at a time, and shown with a hint at
//! the rest. What a row says is in `outbox` and `inbox`.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};
use crate::table::Table;
use crate::terminal::{Reader, columns, harmless, json_line, print};

/// Messages that are read at a time: each may be large.
pub(crate) const STEP: usize = 64;

/// Which messages a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateFilter {
    /// Those of which something can still become
    Pending,
    /// The others
    Final,
    /// Both
    All,
}

/// Which part of a list is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    /// Which messages
    #[arg(long, value_name = "STATE", default_value = "pending")]
    pub(crate) state: StateFilter,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) limit: u64,
    /// Show those after this number, as the list's last line says
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
}

/// A row of the table: four cells.
pub(crate) type Row = [Vec<String>; 4];

/// A kind of list.
pub(crate) trait Listing {
    /// What is listed.
    type Record;

    /// The next [`STEP`] after a number, or what is left.
    ///
    /// # Errors
    /// What to do about the store.
    fn page(&self, after: u64) -> Result<Vec<Self::Record>, Failure>;

    /// A record's number. Numbers rise.
    fn number(record: &Self::Record) -> u64;

    /// For programs.
    fn json(&self, record: &Self::Record) -> Value;

    /// For people.
    fn row(&self, record: &Self::Record) -> Row;
}

/// Shows the part that is asked for; `none` if nothing of it is there.
pub(crate) fn show<L: Listing>(listing: &L, part: &Part, json: bool, none: &str) -> Outcome {
    let mut rows = Vec::new();
    let more = walk(listing, part, |record| {
        if json {
            return print(&json_line(&listing.json(&record)));
        }
        rows.push(listing.row(&record));
        Ok(Reader::There)
    })?;
    let hint = more.map(|last| format!("there are more: --after {last} shows the next"));
    if json {
        // Not among the objects.
        if let Some(hint) = hint {
            let _ = writeln!(std::io::stderr(), "{hint}");
        }
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        let _ = print(none)?;
        return Ok(Exit::Done);
    }
    let mut text = table(rows, columns());
    if let Some(hint) = hint {
        text.push('\n');
        text.push_str(&hint);
    }
    let _ = print(&text)?;
    Ok(Exit::Done)
}

/// Gives the records to `each`. Tells the last one's number if there are more than asked
/// for.
fn walk<L: Listing>(
    listing: &L,
    part: &Part,
    mut each: impl FnMut(L::Record) -> Result<Reader, Failure>,
) -> Result<Option<u64>, Failure> {
    let mut last = part.after;
    let mut shown = 0;
    loop {
        let page = listing.page(last)?;
        let full = page.len() == STEP;
        for record in page {
            if shown == part.limit {
                return Ok(Some(last));
            }
            last = L::number(&record);
            shown += 1;
            if each(record)? == Reader::Gone {
                return Ok(None);
            }
        }
        if !full {
            return Ok(None);
        }
    }
}

pub(crate) fn table(rows: Vec<Row>, columns: usize) -> String {
    let mut table = Table::new(&["N", "MESSAGE", "STATE", "TIME, SIZE"]);
    for row in rows {
        let harmless = |cell: Vec<String>| cell.iter().map(|line| harmless(line)).collect();
        table.row(row.into_iter().map(harmless).collect());
    }
    table.render(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u64);

    impl Listing for Numbers {
        type Record = u64;

        fn page(&self, after: u64) -> Result<Vec<u64>, Failure> {
            Ok((after + 1..=self.0).take(STEP).collect())
        }

        fn number(record: &u64) -> u64 {
            *record
        }

        fn json(&self, record: &u64) -> Value {
            (*record).into()
        }

        fn row(&self, _: &u64) -> Row {
            Row::default()
        }
    }

    #[test]
    fn a_list_ends_where_it_is_told_to_and_says_whether_there_are_more() {
        let step = STEP as u64;
        for there in [0, 1, step - 1, step, step + 1, 3 * step] {
            for limit in [1, step - 1, step, step + 1, 5 * step] {
                for after in [0, 1, step] {
                    let part = Part {
                        state: StateFilter::All,
                        limit,
                        after,
                    };
                    let mut seen = Vec::new();
                    let more = walk(&Numbers(there), &part, |n| {
                        seen.push(n);
                        Ok(Reader::There)
                    });
                    let end = there.min(after + limit);
                    assert_eq!(seen, Vec::from_iter(after + 1..=end));
                    let rest = (end < there && after < there).then_some(end);
                    assert_eq!(more.unwrap(), rest, "{there} {limit} {after}");
                }
            }
        }
    }
}
