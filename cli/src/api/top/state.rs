//! What is shown, and how keys change it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fleet::{Fleet, Member};
use super::history;
use crate::args::Column;

/// Columns in the order in which they are shown, each with the key that sorts by it and its head.
pub const COLUMNS: [(Column, char, &str); 9] = [
    (Column::Name, 'A', "NAME"),
    (Column::Cpu, 'P', "CPU %"),
    (Column::Memory, 'M', "MEMORY"),
    (Column::Syscalls, 'S', "CALLS/s"),
    (Column::Faults, 'F', "FAULT/s"),
    (Column::Exits, 'X', "EXITS/s"),
    (Column::Net, 'N', "NET/s"),
    (Column::Files, 'D', "FILES/s"),
    (Column::Threads, 'T', "THR"),
];

/// Characters of the longest filter.
const FILTER_LIMIT: usize = 200;

/// What follows from a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Another picture at most.
    Stay,
    /// The threads of this one are to be read, or of none.
    Watch(Option<String>),
    /// It is over.
    Quit,
    /// It is to be stopped for a while.
    Stop,
}

/// What is in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All partitions.
    List,
    /// One of them.
    Detail,
}

/// See above.
pub struct State {
    /// What is in front.
    pub view: View,
    /// Whether the keys are explained before it.
    pub has_help: bool,
    /// Whether the filter is being typed.
    pub is_typing: bool,
    /// What names, identifiers or commands must contain, in small letters or large.
    pub filter: String,
    /// What they are sorted by.
    pub sort: Column,
    /// Whether the other way round: names from Z, numbers from the smallest.
    pub is_reversed: bool,
    /// Which partition is chosen: it stays so wherever it goes.
    pub chosen: Option<String>,
    /// Where it was in the list, for when it goes.
    place: usize,
    /// The first line of the list that is seen, and of the detail.
    pub top: usize,
    /// See `top`.
    pub scroll: usize,
    /// Lines that there is room for, as drawn last.
    pub page: usize,
    /// The picture is held.
    pub is_held: bool,
    /// Characters for heights.
    pub heights: &'static [char],
}

impl State {
    /// At first.
    pub fn new(sort: Column, filter: String) -> Self {
        Self {
            view: View::List,
            has_help: false,
            is_typing: false,
            filter,
            sort,
            is_reversed: false,
            chosen: None,
            place: 0,
            top: 0,
            scroll: 0,
            page: 1,
            is_held: false,
            heights: if has_unicode() { history::BLOCKS } else { history::LETTERS },
        }
    }

    /// Those that are listed, in their order.
    pub fn listed<'a>(&self, fleet: &'a Fleet) -> Vec<&'a Member> {
        let wanted = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let mut listed: Vec<&Member> = fleet
            .live()
            .filter(|it| wanted.is_empty() || has(&it.name) || has(&it.id) || has(&it.command))
            .collect();
        listed.sort_by(|one, other| {
            let by_name = || one.name.cmp(&other.name).then_with(|| one.id.cmp(&other.id));
            let order = match self.sort {
                Column::Name => by_name(),
                column => {
                    let (one, other) = (one.usage.value(column), other.usage.value(column));
                    other.total_cmp(&one).then_with(by_name)
                }
            };
            if self.is_reversed { order.reverse() } else { order }
        });
        listed
    }

    /// The place of the chosen one; if it is gone, the one at its place is chosen.
    pub fn settle(&mut self, listed: &[&Member]) -> usize {
        let known = self.chosen.as_ref().and_then(|id| listed.iter().position(|member| member.id == *id));
        let place = known.unwrap_or(self.place).min(listed.len().saturating_sub(1));
        self.place = place;
        // What is looked at stays the same.
        if self.view == View::List {
            self.chosen = listed.get(place).map(|member| member.id.clone());
        }
        place
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent, fleet: &mut Fleet) -> Outcome {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Outcome::Quit,
                KeyCode::Char('z') => Outcome::Stop,
                _ => Outcome::Stay,
            };
        }
        if self.is_typing {
            self.typed(key.code);
            return Outcome::Stay;
        }
        if self.has_help {
            self.has_help = false;
            return if key.code == KeyCode::Char('q') { Outcome::Quit } else { Outcome::Stay };
        }
        match key.code {
            KeyCode::Char('q') => return Outcome::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.has_help = true,
            KeyCode::Char(' ') => self.is_held = !self.is_held,
            _ => match self.view {
                View::List => return self.key_in_list(key.code, fleet),
                View::Detail => return self.key_in_detail(key.code, fleet),
            },
        }
        Outcome::Stay
    }

    fn typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(character) if self.filter.chars().count() < FILTER_LIMIT => {
                self.filter.push(character)
            }
            _ => {}
        }
    }

    fn key_in_list(&mut self, code: KeyCode, fleet: &mut Fleet) -> Outcome {
        let last = self.listed(fleet).len().saturating_sub(1);
        let here = self.place;
        let to = match code {
            KeyCode::Up | KeyCode::Char('k') => here.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => here + 1,
            KeyCode::PageUp => here.saturating_sub(self.page),
            KeyCode::PageDown => here + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            KeyCode::Enter | KeyCode::Right => {
                let Some(id) = self.chosen.clone() else { return Outcome::Stay };
                (self.view, self.scroll) = (View::Detail, 0);
                fleet.keep(Some(id.clone()));
                return Outcome::Watch(Some(id));
            }
            _ => {
                self.key_for_order(code);
                return Outcome::Stay;
            }
        };
        self.place = to.min(last);
        self.chosen = self.listed(fleet).get(self.place).map(|member| member.id.clone());
        Outcome::Stay
    }

    fn key_for_order(&mut self, code: KeyCode) {
        let at = COLUMNS.iter().position(|(column, ..)| *column == self.sort).unwrap_or(0);
        match code {
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('r' | 'R') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('<') => self.sort = COLUMNS[at.saturating_sub(1)].0,
            KeyCode::Char('>') => self.sort = COLUMNS[(at + 1).min(COLUMNS.len() - 1)].0,
            KeyCode::Char(key) => {
                let wanted = COLUMNS.iter().find(|(_, it, _)| *it == key);
                if let Some((column, ..)) = wanted {
                    // The same again turns it round.
                    self.is_reversed = self.sort == *column && !self.is_reversed;
                    self.sort = *column;
                }
            }
            _ => {}
        }
    }

    fn key_in_detail(&mut self, code: KeyCode, fleet: &mut Fleet) -> Outcome {
        match code {
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => {
                self.view = View::List;
                fleet.keep(None);
                return Outcome::Watch(None);
            }
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            // Drawing knows how far it goes.
            KeyCode::Down | KeyCode::Char('j') => self.scroll += 1,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page),
            KeyCode::PageDown => self.scroll += self.page,
            KeyCode::Home | KeyCode::Char('g') => self.scroll = 0,
            KeyCode::End | KeyCode::Char('G') => self.scroll = usize::MAX / 2,
            _ => {}
        }
        Outcome::Stay
    }
}

/// Whether the terminal's characters are more than ASCII (`locale(7)`).
fn has_unicode() -> bool {
    let variables = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = variables.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
