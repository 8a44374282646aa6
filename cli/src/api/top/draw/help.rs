//! The keys, explained before everything else.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Paragraph};

const TEXT: &str = "\
 Up Down j k      choose; PgUp PgDn Home End
 Enter            look at the chosen one
 Esc              back; in the list: no filter
 /                type a filter: a part of a
                  name, identifier or command
 < >              sort by the column before, after
 A P M S F X      sort by name, processor, memory,
                  system calls, faults, exits
 N D T            ... network, files, threads
 r                the other way round (or the key again)
 space            hold the picture, go on
 q Ctrl-C         quit

 Numbers that a guest counts are its word: system
 calls, faults, memory in use. 100 % is one processor.
 Any key goes back.";

/// In the middle, as large as there is room.
pub fn draw(frame: &mut Frame<'_>) {
    let area = frame.area();
    let lines = u16::try_from(TEXT.lines().count()).unwrap_or(u16::MAX);
    let columns = TEXT.lines().map(str::len).max().and_then(|it| u16::try_from(it).ok()).unwrap_or(u16::MAX);
    let (width, height) =
        (columns.saturating_add(3).min(area.width), lines.saturating_add(2).min(area.height));
    let place =
        Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(TEXT).block(Block::bordered().title(" Keys ")), place);
}
