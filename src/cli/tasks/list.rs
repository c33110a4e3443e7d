//! `relight tasks list`.

use anstyle::AnsiColor;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use relight::durable::{Clock, SystemClock};
use relight::journal::{Filter, Status, Store, Task};
use serde_json::Value;

use super::super::Error;
use super::super::run::short_id;
use super::super::screen::{Screen, coloured, one_line, plain};
use super::task_json;
use super::tree::Tree;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only tasks that have not ended
    #[arg(long)]
    active: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(args: &Args, store: &dyn Store, screen: &Screen) -> Result<(), Error> {
    let status =
        if args.active { vec![Status::Working, Status::InputRequired] } else { Vec::new() };
    let tasks = store.tasks(Filter { status, limit: args.limit, ..Filter::default() }).await?;
    if args.json {
        screen.line(Value::Array(tasks.iter().map(task_json).collect()));
        return Ok(());
    }
    if tasks.is_empty() {
        screen.note("There are no tasks. Start one with `relight run AGENT`.");
        return Ok(());
    }
    let now_ms = SystemClock.now_ms();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["TASK", "AGENT", "STATUS", "AGE", "MESSAGE"]);
    let mut add = |before: &str, task: &Task| {
        let name = match &task.parent {
            // Its parent is further down the list than it goes.
            Some(parent) if before.is_empty() => {
                format!("{} (of {})", task.name, short_id(parent.task))
            }
            _ => format!("{before}{}", task.name),
        };
        let message = one_line(task.message.as_deref().unwrap_or_default());
        table.add_row([
            Cell::new(short_id(task.id)),
            Cell::new(plain(&name)),
            Cell::new(task.status.as_str()).fg(table_colour(task.status)),
            Cell::new(age(now_ms - task.created_at_ms)),
            Cell::new(message),
        ]);
    };
    Tree::forest(tasks).iter().for_each(|tree| tree.visit("", &mut add));
    screen.line(table);
    Ok(())
}

/// A status in its colour.
pub(super) fn status_word(status: Status) -> String {
    coloured(colour(status), status.as_str())
}

fn colour(status: Status) -> AnsiColor {
    match status {
        Status::Working => AnsiColor::Blue,
        Status::InputRequired | Status::Cancelled => AnsiColor::Yellow,
        Status::Completed => AnsiColor::Green,
        Status::Failed | Status::Stopped => AnsiColor::Red,
    }
}

/// The same colour in the table's words.
fn table_colour(status: Status) -> Color {
    match colour(status) {
        AnsiColor::Blue => Color::DarkBlue,
        AnsiColor::Yellow => Color::DarkYellow,
        AnsiColor::Green => Color::DarkGreen,
        _ => Color::DarkRed,
    }
}

fn age(age_ms: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let seconds = age_ms / 1_000;
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || format!("{seconds}s"),
        |(length, unit)| format!("{}{unit}", seconds / length),
    )
}
