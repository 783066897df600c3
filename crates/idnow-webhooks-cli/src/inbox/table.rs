//! The tables of events and of parked tokens.

use chrono::{DateTime, Utc};
use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, Width,
};
use idnow_webhooks::store::{EventState, ParkedToken, StoredEvent};

use super::text;

const NAME: usize = 3;
const SESSION: usize = 4;
const SEQUENCE: usize = 5;
const RUNS: usize = 6;
const ERROR: usize = 7;

/// Between two columns.
const GAP: u16 = 2;
/// The most of a name and a session that is shown: a UUID.
const LABEL: u16 = 36;
/// The least that is left to errors while there is anything else to leave out.
const SOME_ERROR: u16 = 18;

/// The events, one in a line, without a line feed at the end. `width` is the terminal's; without it nothing is cut.
pub(super) fn events(events: &[StoredEvent], now: DateTime<Utc>, width: Option<u16>) -> String {
    let titles = ["STATE", "AGE", "EVENT", "NAME", "SESSION", "SEQ", "RUNS", "ERROR"];
    let mut table = table(titles, events.iter().map(|event| cells(event, now)));
    let no_errors = events.iter().all(|event| event.error.is_none());
    let wanted: Vec<_> = table.column_max_content_widths().into_iter().enumerate().map(wanted).collect();
    let all = wanted.iter().fold(0_u16, |all, width| all.saturating_add(*width));
    let all = if no_errors { all.saturating_sub(SOME_ERROR) } else { all };
    let roomy = width.is_none_or(|width| all <= width);
    for ((index, column), wanted) in table.column_iter_mut().enumerate().zip(wanted) {
        column.set_padding(if index == ERROR { (0, 0) } else { (0, GAP) });
        if matches!(index, SEQUENCE | RUNS) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let constraint = match index {
            ERROR if no_errors => ColumnConstraint::Hidden,
            // Without them, there is more of the name and the error.
            SESSION | SEQUENCE if !roomy => ColumnConstraint::Hidden,
            NAME | SESSION if roomy && width.is_some() => ColumnConstraint::Absolute(Width::Fixed(wanted)),
            NAME | ERROR if width.is_some() => ColumnConstraint::LowerBoundary(Width::Fixed(6)),
            _ => ColumnConstraint::ContentWidth,
        };
        column.set_constraint(constraint);
    }
    lines(table, width)
}

/// The tokens, as the [events]. Everything but the reason is shown whole.
pub(super) fn parked(tokens: &[ParkedToken], now: DateTime<Utc>, width: Option<u16>) -> String {
    let titles = ["AGE", "ID", "CODE", "EVENT", "REASON"];
    let reason = titles.len() - 1;
    let mut table = table(
        titles,
        tokens.iter().map(|token| {
            let ParkedToken { id, code, event_id, reason, .. } = token;
            let event = event_id.as_deref().unwrap_or("-");
            let mut row = Row::from([text::age(token.received_at, now)]);
            for cell in [id, code, event, reason] {
                row.add_cell(Cell::new(text::line(cell)));
            }
            row
        }),
    );
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == reason { (0, 0) } else { (0, GAP) });
        column.set_constraint(if index == reason && width.is_some() {
            ColumnConstraint::LowerBoundary(Width::Fixed(6))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    lines(table, width)
}

fn table<const COLUMNS: usize>(titles: [&str; COLUMNS], rows: impl Iterator<Item = Row>) -> Table {
    let mut table = Table::new();
    // Whether there are colours is decided where all of it is printed.
    table.load_style(NOTHING).force_no_tty().enforce_styling();
    table.style_text_only();
    // No cell contains this: so texts are cut at the width, and not at the last word that fits.
    table.set_delimiter('\0');
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Dim)));
    for mut row in rows {
        row.max_height(1);
        table.add_row(row);
    }
    table
}

fn lines(mut table: Table, width: Option<u16>) -> String {
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// How wide a column should be, with the gap after it.
fn wanted((index, content): (usize, u16)) -> u16 {
    match index {
        ERROR => SOME_ERROR,
        NAME | SESSION => content.min(LABEL) + GAP,
        _ => content.saturating_add(GAP),
    }
}

fn cells(event: &StoredEvent, now: DateTime<Utc>) -> Row {
    let optional = |text: &Option<String>| match text {
        Some(text) => Cell::new(text::line(text)),
        None => Cell::new("-"),
    };
    let mut row = Row::new();
    row.add_cell(Cell::new(event.state.name()).fg(colour(event.state)))
        .add_cell(Cell::new(text::age(event.received_at, now)))
        .add_cell(Cell::new(text::line(&event.id)))
        .add_cell(optional(&event.name))
        .add_cell(optional(&event.session_id))
        .add_cell(Cell::new(event.sequence))
        .add_cell(Cell::new(event.runs))
        .add_cell(Cell::new(text::line(event.error.as_deref().unwrap_or_default())));
    row
}

fn colour(state: EventState) -> Color {
    match state {
        EventState::Waiting => Color::DarkYellow,
        EventState::Running => Color::DarkCyan,
        EventState::Completed => Color::DarkGreen,
        EventState::Dead => Color::DarkRed,
    }
}
