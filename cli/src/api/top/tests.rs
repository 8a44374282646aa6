//! The picture and the keys, without a terminal: every size, hostile names, keys at random.

use std::collections::BTreeMap;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use septum_api_types::v1::Stats;
use septum_api_types::v1::stats::{Counters, CpuTime, DeviceUse, Latency, MemoryUse, ThreadUse};

use super::draw;
use super::fleet::Fleet;
use super::history::BLOCKS;
use super::reader::{Read, Reading, printable};
use super::state::{Outcome, State, View};
use crate::args::Column;

/// A partition that has done `work` of everything, at a time.
fn read(id: &str, name: &str, at_ms: u64, work: u64) -> Read {
    let one = |name: &str| BTreeMap::from([(name.to_owned(), work)]);
    let counters = Counters {
        vcpus: 2,
        syscalls: one("data"),
        syscalls_by_name: one("read"),
        syscall_latency: BTreeMap::from([(
            "data".to_owned(),
            Latency { counts: vec![work, 0, work / 2], sum_ns: work * 700 },
        )]),
        page_faults: work,
        exits: one("mmio_write"),
        devices: vec![DeviceUse { name: "fs".into(), requests: work, read_bytes: work, written_bytes: 0 }],
        ..Counters::default()
    };
    let thread = ThreadUse {
        id: 7,
        name: "0:a\u{1b}[31m".into(),
        state: "R".into(),
        cpu_ns: work * 1_000_000,
        waited_ns: 0,
    };
    let stats = Stats {
        partition: id.into(),
        at_ms,
        started_ms: Some(1),
        cpu: CpuTime { user_ns: work * 1_000_000, ..CpuTime::default() },
        memory: MemoryUse { limit_bytes: 64 << 20, used_bytes: work << 10, ..MemoryUse::default() },
        counters: Some(counters),
        thread_list: Some(vec![thread]),
        ..Stats::default()
    };
    Read {
        id: id.into(),
        name: Some(printable(name)),
        command: "sleep 1000".into(),
        state: "running",
        stats: Some(stats),
    }
}

fn fleet(work: &[(&str, &str, u64)]) -> Fleet {
    let mut fleet = Fleet::default();
    for (at_ms, times) in [(1000, 1), (2000, 2)] {
        let partitions = work.iter().map(|(id, name, work)| read(id, name, at_ms, work * times)).collect();
        fleet.update(Reading { partitions });
    }
    fleet
}

fn state() -> State {
    let mut state = State::new(Column::Cpu, String::new());
    state.heights = BLOCKS;
    state
}

/// What is seen, line by line.
fn picture(fleet: &Fleet, state: &mut State, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, fleet, state)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(usize::from(width.max(1)));
    lines
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned())
        .collect()
}

fn press(state: &mut State, fleet: &mut Fleet, code: KeyCode) -> Outcome {
    state.key(KeyEvent::new(code, KeyModifiers::NONE), fleet)
}

fn first_names(lines: &[String]) -> Vec<String> {
    let rows = lines[..lines.len() - 1].iter().skip_while(|line| !line.starts_with("NAME")).skip(1);
    rows.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_list_is_sorted_filtered_and_followed() {
    let mut fleet = fleet(&[("a1", "web", 10), ("b2", "db", 300), ("c3", "queue", 20)]);
    let mut state = state();
    let lines = picture(&fleet, &mut state, 120, 12);
    assert_eq!(first_names(&lines), ["db", "queue", "web"], "{lines:#?}");
    assert!(lines[0].contains("3 running") && lines[0].contains("33.0 % CPU"), "{lines:#?}");
    assert!(
        lines[3].contains("30.0") && lines[3].contains("600.0KiB") || lines[3].contains("600KiB"),
        "{lines:#?}"
    );
    assert!(lines[3].ends_with("sleep 1000"), "{lines:#?}");

    press(&mut state, &mut fleet, KeyCode::Char('A'));
    assert_eq!(first_names(&picture(&fleet, &mut state, 80, 12)), ["db", "queue", "web"]);
    press(&mut state, &mut fleet, KeyCode::Char('A'));
    assert_eq!(first_names(&picture(&fleet, &mut state, 80, 12)), ["web", "queue", "db"]);
    // The chosen one stays chosen wherever it goes, and its place is taken by the next when it goes.
    assert_eq!(state.chosen.as_deref(), Some("b2"));
    press(&mut state, &mut fleet, KeyCode::Home);
    press(&mut state, &mut fleet, KeyCode::Down);
    assert_eq!(state.chosen.as_deref(), Some("c3"));
    fleet.update(Reading { partitions: vec![read("a1", "web", 3000, 30), read("b2", "db", 3000, 900)] });
    picture(&fleet, &mut state, 80, 12);
    assert_eq!(state.chosen.as_deref(), Some("b2"));

    for key in ['/', 'W', 'e'] {
        press(&mut state, &mut fleet, KeyCode::Char(key));
    }
    let lines = picture(&fleet, &mut state, 80, 12);
    assert_eq!(first_names(&lines), ["web"]);
    assert!(lines[0].contains("1 running of 2") && lines[11].contains("filter: We"), "{lines:#?}");
    press(&mut state, &mut fleet, KeyCode::Char('x'));
    assert!(picture(&fleet, &mut state, 80, 12)[3].contains("none has that"));
    press(&mut state, &mut fleet, KeyCode::Esc);
    assert_eq!(first_names(&picture(&fleet, &mut state, 80, 12)).len(), 2);
}

#[test]
fn one_is_looked_at_until_it_has_ended_and_beyond() {
    let mut fleet = fleet(&[("a1", "web", 10), ("b2", "db", 300)]);
    let mut state = state();
    picture(&fleet, &mut state, 80, 24);
    assert_eq!(press(&mut state, &mut fleet, KeyCode::Enter), Outcome::Watch(Some("b2".into())));
    let text = picture(&fleet, &mut state, 130, 40).join("\n");
    for wanted in ["db", "b2", "30.0%", "0:a?[31m", "mmio_write", "data", "|█ ▄|", "467ns", "fs", "64MiB"]
    {
        assert!(text.contains(wanted), "no {wanted} in\n{text}");
    }
    fleet.update(Reading { partitions: vec![read("a1", "web", 3000, 30)] });
    let text = picture(&fleet, &mut state, 80, 60).join("\n");
    assert!(text.contains("has ended") && text.contains("mmio_write"), "{text}");
    assert_eq!(press(&mut state, &mut fleet, KeyCode::Esc), Outcome::Watch(None));
    fleet.update(Reading { partitions: vec![read("a1", "web", 4000, 30)] });
    assert!(fleet.get("b2").is_none());
    assert_eq!(first_names(&picture(&fleet, &mut state, 80, 24)), ["web"]);
}

#[test]
fn who_does_not_answer_is_said() {
    let mut fleet = fleet(&[("a1", "web", 10)]);
    let mut silent = read("a1", "web", 3000, 10);
    silent.stats = None;
    fleet.update(Reading { partitions: vec![silent] });
    let mut state = state();
    let lines = picture(&fleet, &mut state, 80, 24);
    assert!(lines[3].split_whitespace().take(2).eq(["web", "silent"]), "{lines:#?}");
    press(&mut state, &mut fleet, KeyCode::Enter);
    assert!(picture(&fleet, &mut state, 80, 24)[0].contains("does not answer"));
}

#[test]
fn every_size_has_a_picture() {
    let many: Vec<(String, String)> =
        (0..200).map(|at| (format!("{at:012x}"), format!("\u{1b}]0;{at}\u{7}日本語 é👩‍👩‍👧 a\u{301}"))).collect();
    let work: Vec<(&str, &str, u64)> =
        many.iter().map(|(id, name)| (id.as_str(), name.as_str(), u64::MAX >> 24)).collect();
    let mut large = fleet(&work);
    let mut empty = Fleet::default();
    for fleet in [&mut large, &mut empty] {
        for view in [View::List, View::Detail] {
            for has_help in [false, true] {
                let mut state = state();
                picture(fleet, &mut state, 80, 24);
                (state.view, state.has_help) = (view, has_help);
                for width in (0..40).chain([79, 80, 109, 110, 111, 250, 500]) {
                    for height in (0..12).chain([24, 100]) {
                        let lines = picture(fleet, &mut state, width, height);
                        assert!(lines.iter().flat_map(|line| line.chars()).all(|it| !it.is_control()));
                    }
                }
            }
        }
    }
    // The last page is full, the chosen one in sight.
    let mut state = state();
    picture(&large, &mut state, 80, 24);
    press(&mut state, &mut large, KeyCode::End);
    let lines = picture(&large, &mut state, 80, 24);
    assert_eq!((first_names(&lines).len(), state.top), (20, 180), "{lines:#?}");
}

#[test]
fn keys_at_random_harm_nothing() {
    let mut fleet = fleet(&[("a1", "web", 10), ("b2", "db", 300), ("c3", "queue", 20)]);
    let mut state = state();
    let codes = [
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Tab,
        KeyCode::F(1),
        KeyCode::F(12),
        KeyCode::Insert,
        KeyCode::Null,
    ];
    let letters = "/?<>APMSFXNDTrhjkgG q日";
    let mut random: u64 = 1;
    for round in 0..5000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = usize::try_from(random >> 40).unwrap();
        let letter = letters.chars().nth(draw % 23).unwrap_or('x');
        let code = if draw % 3 == 0 { KeyCode::Char(letter) } else { codes[draw % codes.len()] };
        press(&mut state, &mut fleet, code);
        if round % 7 == 0 {
            let left = [("a1", "web"), ("b2", "db"), ("c3", "queue")].into_iter().skip(draw % 4);
            let partitions = left.map(|(id, name)| read(id, name, 3000 + round, round)).collect();
            fleet.update(Reading { partitions });
        }
        picture(&fleet, &mut state, u16::try_from(draw % 130).unwrap(), u16::try_from(draw % 31).unwrap());
        assert!(state.filter.chars().count() <= 200);
    }
}
