//! How it looks. Whatever the terminal's size, something is drawn, and nothing outside it.

mod detail;
mod help;
mod list;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::fleet::Fleet;
use super::state::{State, View};

/// Heads of tables, and where one is.
pub const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
/// What is chosen.
pub const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What is less important.
pub const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// Lines of history.
pub const LINE: Style = Style::new().fg(Color::Cyan);
/// What needs a look.
pub const REMARK: Style = Style::new().fg(Color::Yellow);

/// Draws what is in front.
pub fn draw(frame: &mut Frame<'_>, fleet: &Fleet, state: &mut State) {
    let [body, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    match state.view {
        View::List => list::draw(frame, body, fleet, state),
        View::Detail => detail::draw(frame, body, fleet, state),
    }
    frame.render_widget(Paragraph::new(footer(state)), foot);
    if state.has_help {
        help::draw(frame);
    }
}

fn footer(state: &State) -> Line<'static> {
    if state.is_typing {
        return Line::from(vec![
            Span::styled("filter: ", HEAD),
            Span::raw(state.filter.clone()),
            Span::styled(" ", CHOSEN),
            Span::styled("  Enter keeps it, Esc drops it", FAINT),
        ]);
    }
    let held = if state.is_held { "held (space goes on)  " } else { "" };
    let keys = match state.view {
        View::List => "? help  / filter  < > sort  Enter look  q quit",
        View::Detail => "Esc back  Up Down scroll  ? help  q quit",
    };
    Line::from(vec![Span::styled(held, REMARK), Span::styled(keys, FAINT)])
}
