//! The one table that a run prints. It is Markdown, so that it can be taken into the README as it
//! is.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

/// One bar.
pub(crate) struct Row {
    pub(crate) measure: String,
    pub(crate) result: String,
    /// What it is measured against; empty where the bar is absolute.
    pub(crate) floor: String,
    pub(crate) ratio: String,
    pub(crate) bar: String,
    /// `None` where this machine cannot measure it.
    pub(crate) met: Option<bool>,
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["measure", "result", "floor, same run", "ratio", "bar", "met"]);
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        table.add_row([&row.measure, &row.result, &row.floor, &row.ratio, &row.bar, met]);
    }
    table
}
