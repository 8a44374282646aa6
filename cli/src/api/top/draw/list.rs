//! All partitions, a line each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::fleet::{Fleet, Member};
use super::super::state::{COLUMNS, State};
use super::{CHOSEN, FAINT, HEAD, REMARK};
use crate::amounts::{bytes, count};
use crate::args::Column;

/// Widths of names: at least, and at most.
const NAME: (usize, usize) = (12, 28);
/// Commands are shown where there is room for so much of them.
const COMMAND: usize = 12;

/// Width of a column, with the space before it; those of names are what is left.
fn width(column: Column) -> usize {
    match column {
        Column::Name => 0,
        Column::Cpu => 7,
        Column::Memory | Column::Syscalls | Column::Faults | Column::Exits => 8,
        Column::Net | Column::Files => 12,
        Column::Threads => 5,
    }
}

/// Columns that there is room for, the first ones first.
fn fitting(total: usize) -> Vec<Column> {
    let mut left = total.saturating_sub(NAME.0);
    let all = COLUMNS.iter().map(|(column, ..)| *column);
    all.take_while(|column| {
        let fits = width(*column) <= left;
        left = left.saturating_sub(width(*column));
        fits
    })
    .collect()
}

/// Draws the list.
pub fn draw(frame: &mut Frame<'_>, area: Rect, fleet: &Fleet, state: &mut State) {
    let listed = state.listed(fleet);
    let place = state.settle(&listed);
    let heads = if area.height > 5 { 3 } else { 1 };
    let room = usize::from(area.height).saturating_sub(heads);
    state.page = room.max(1);
    // The chosen one is in sight, and the last page is full.
    state.top = state.top.clamp(place.saturating_sub(state.page - 1), place);
    state.top = state.top.min(listed.len().saturating_sub(state.page));

    let total = usize::from(area.width);
    let columns = fitting(total);
    let numbers: usize = columns.iter().map(|column| width(*column)).sum();
    let is_full = columns.len() == COLUMNS.len();
    let longest = listed.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let left = total.saturating_sub(numbers);
    let name = if is_full { longest.clamp(NAME.0, NAME.1).min(left) } else { left };
    let command = left.saturating_sub(name + 2);
    let command = if is_full && command >= COMMAND { command } else { 0 };

    let mut lines = Vec::with_capacity(usize::from(area.height));
    if heads == 3 {
        lines.push(summary(fleet, &listed, state));
        lines.push(Line::default());
    }
    lines.push(head(state, &columns, name, command));
    let shown = listed.iter().enumerate().skip(state.top).take(room);
    lines.extend(shown.map(|(at, member)| row(member, at == place, &columns, name, command)));
    if listed.is_empty() {
        lines.push(Line::styled(nothing(fleet, state), FAINT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn nothing(fleet: &Fleet, state: &State) -> &'static str {
    match (fleet.readings, state.filter.is_empty()) {
        (0, _) => "reading ...",
        (_, false) => "none has that; Esc drops the filter",
        (_, true) => "no partition runs; 'septum run -d -- PROGRAM' starts one",
    }
}

fn summary(fleet: &Fleet, listed: &[&Member], state: &State) -> Line<'static> {
    let sum = |of: fn(&Member) -> f64| listed.iter().fold(0.0, |sum, member| sum + of(member));
    let memory = listed.iter().fold(0, |sum: u64, member| sum.saturating_add(member.usage.memory));
    let whole = match state.filter.is_empty() {
        true => String::new(),
        false => format!(" of {} with '{}'", fleet.live().count(), state.filter),
    };
    Line::from(vec![
        Span::styled("septum top", HEAD),
        Span::raw(format!(
            "  {} running{whole}  {:.1} % CPU  {} memory  {} calls/s  {} exits/s",
            listed.len(),
            sum(|it| it.usage.rates.cpu_percent),
            bytes(memory),
            count(sum(|it| it.usage.rates.syscalls)),
            count(sum(|it| it.usage.exits)),
        )),
    ])
}

fn head(state: &State, columns: &[Column], name: usize, command: usize) -> Line<'static> {
    let mut spans = Vec::new();
    for (column, _, text) in COLUMNS.iter().filter(|(column, ..)| columns.contains(column)) {
        let text = match column {
            Column::Name => format!("{text:<name$}"),
            _ => format!("{text:>width$}", width = width(*column)),
        };
        let style = if *column == state.sort { CHOSEN } else { HEAD };
        // Only the words are marked, not the space before them.
        let (space, word) = text.split_at(text.len() - text.trim_start().len());
        spans.push(Span::raw(space.to_owned()));
        spans.push(Span::styled(word.to_owned(), style));
    }
    if command > 0 {
        spans.push(Span::styled("  COMMAND", HEAD));
    }
    Line::from(spans)
}

fn row(member: &Member, is_chosen: bool, columns: &[Column], name: usize, command: usize) -> Line<'static> {
    let label: String = member.name.chars().take(name).collect();
    let mut spans = vec![Span::raw(format!("{label:<name$}"))];
    for column in columns.iter().filter(|column| **column != Column::Name) {
        // Whoever does not run has no processor time.
        spans.push(match (column, member.remark) {
            (Column::Cpu, Some(remark)) => {
                Span::styled(format!("{remark:>width$}", width = width(*column)), REMARK)
            }
            _ => Span::raw(format!("{:>width$}", member.usage.text(*column), width = width(*column))),
        });
    }
    if command > 0 {
        let text: String = member.command.chars().take(command).collect();
        spans.push(Span::styled(format!("  {text:<command$}"), FAINT));
    }
    let line = Line::from(spans);
    if is_chosen { line.style(CHOSEN) } else { line }
}
