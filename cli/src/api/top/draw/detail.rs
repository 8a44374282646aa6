//! One partition: what it used lately, its threads, exits, system calls with their durations, devices.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use septum_api_types::v1::Stats;
use septum_api_types::v1::stats::{Counters, Latency, ThreadUse};

use super::super::fleet::{Fleet, Member};
use super::super::history::height;
use super::super::reader::printable;
use super::super::state::State;
use super::super::usage::{by_name, bytes_a_second};
use super::{FAINT, HEAD, LINE, REMARK};
use crate::amounts::{bytes, count, percent, share};
use crate::rates::{number, rate};

/// Two columns where there is room.
const WIDE: u16 = 110;
/// Width of what is said of a line of history.
const BEFORE_LINE: usize = 28;
/// System calls that are listed by name.
const CALLS: usize = 12;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, fleet: &Fleet, state: &mut State) {
    let member = state.chosen.as_deref().and_then(|id| fleet.get(id));
    let Some(member) = member else {
        frame.render_widget(Paragraph::new("it is gone; Esc goes back"), area);
        return;
    };
    let is_wide = area.width >= WIDE;
    let width = if is_wide { area.width / 2 } else { area.width };
    let mut left = overview(member, state, usize::from(width));
    let mut right = Vec::new();
    if let Some(now) = &member.now {
        let before = member.before.as_ref().filter(|before| before.started_ms == now.started_ms);
        left.extend(threads(before, now));
        right.extend(exits(before, now));
        right.extend(calls(before, now, state.heights));
        right.extend(devices(before, now));
    }
    state.page = usize::from(area.height).max(1);
    let columns = if is_wide {
        let [one, two] = Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(area);
        vec![(left, one), (right, two)]
    } else {
        left.extend(right);
        vec![(left, area)]
    };
    let longest = columns.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
    state.scroll = state.scroll.min(longest.saturating_sub(state.page));
    for (lines, place) in columns {
        let shown: Vec<Line<'_>> = lines.into_iter().skip(state.scroll).take(state.page).collect();
        frame.render_widget(Paragraph::new(shown), place);
    }
}

fn overview(member: &Member, state: &State, width: usize) -> Vec<Line<'static>> {
    let remark = match (member.is_live, member.remark) {
        (false, _) => " has ended: this is the last that was seen",
        (true, Some("paused")) => " is paused",
        (true, Some("silent")) => " does not answer: this is the last that it said",
        (true, _) => "",
    };
    let mut lines = vec![
        Line::from(vec![
            Span::styled(member.name.clone(), HEAD),
            Span::styled(remark, REMARK),
            Span::styled(format!("  {}", member.id), FAINT),
        ]),
        Line::styled(member.command.clone(), FAINT),
    ];
    if let Some(now) = &member.now {
        lines.push(Line::raw(format!(
            "memory {} of {} ({}), {} of files; host {}, {} its own",
            bytes(now.memory.used_bytes),
            bytes(now.memory.limit_bytes),
            percent(share(now.memory.used_bytes, now.memory.limit_bytes)),
            bytes(now.memory.cached_bytes),
            bytes(now.memory.resident_bytes),
            bytes(now.memory.private_bytes),
        )));
        let connections = now.counters.as_ref().and_then(|counters| counters.connections);
        let connections = connections.map(|it| format!(", {} connections", it.open)).unwrap_or_default();
        lines.push(Line::raw(format!(
            "{} processors, restarted {} times{connections}",
            now.cpus, now.restarts
        )));
    }
    let room = width.saturating_sub(BEFORE_LINE + 1);
    let rates = member.usage.rates;
    let said = [
        ("CPU", percent(rates.cpu_percent)),
        ("memory", bytes(member.usage.memory)),
        ("calls/s", count(rates.syscalls)),
        ("faults/s", count(rates.page_faults)),
    ];
    for (at, ((what, value), history)) in said.into_iter().zip(&member.history).enumerate() {
        let (line, most) = history.line(room, state.heights);
        let most = match at {
            0 => percent(most),
            1 => bytes_a_second(most),
            _ => count(most),
        };
        lines.push(Line::from(vec![
            Span::raw(format!("{what:<9}{value:>9}")),
            Span::styled(format!(" {:>9}", format!("<{most}")), FAINT),
            Span::styled(line, LINE),
        ]));
    }
    lines
}

fn title(text: String) -> [Line<'static>; 2] {
    [Line::default(), Line::styled(text, HEAD)]
}

fn threads(before: Option<&Stats>, now: &Stats) -> Vec<Line<'static>> {
    let Some(threads) = &now.thread_list else {
        return title(format!("{} THREADS", now.threads)).into();
    };
    let earlier = |id: u32| before?.thread_list.as_ref()?.iter().find(|thread| thread.id == id);
    // Nanoseconds of a second, in percent.
    let part = |id: u32, of: fn(&ThreadUse) -> u64, to: u64| {
        before.zip(earlier(id)).map_or(0.0, |(before, thread)| rate(before, now, of(thread), to) / 1e7)
    };
    let mut shown: Vec<(f64, f64, &ThreadUse)> = threads
        .iter()
        .map(|it| (part(it.id, |it| it.cpu_ns, it.cpu_ns), part(it.id, |it| it.waited_ns, it.waited_ns), it))
        .collect();
    shown.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.2.id.cmp(&other.2.id)));
    let mut lines: Vec<Line<'static>> =
        title(format!("{:<18} {:<1} {:>7} {:>8} {:>11}", "THREAD", "", "CPU %", "STEAL %", "CPU TIME"))
            .into();
    lines.extend(shown.into_iter().map(|(cpu, steal, thread)| {
        let name: String = printable(&thread.name).chars().take(18).collect();
        let state: String = printable(&thread.state).chars().take(1).collect();
        Line::raw(format!(
            "{name:<18} {state:<1} {cpu:>7.1} {steal:>8.1} {:>10.2}s",
            number(thread.cpu_ns) / 1e9
        ))
    }));
    lines
}

fn exits(before: Option<&Stats>, now: &Stats) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> =
        title(format!("{:<18} {:>9} {:>9}", "EXIT", "A SECOND", "IN ALL")).into();
    let all = by_name(before, now, |stats| stats.counters.as_ref().map(|it| &it.exits));
    lines.extend(all.into_iter().map(|(name, rate, all)| {
        Line::raw(format!("{:<18} {:>9} {:>9}", printable(name), count(rate), count(number(all))))
    }));
    let counters = now.counters.as_ref();
    for (what, of) in [
        ("(interrupts)", (|it| it.interrupts) as fn(&Counters) -> u64),
        ("(halts)", |it| it.halts),
        ("(page faults)", |it| it.page_faults),
    ] {
        let Some(all) = counters.map(of) else { continue };
        let earlier = before.and_then(|before| before.counters.as_ref().map(of));
        let a_second = before.zip(earlier).map_or(0.0, |(before, from)| rate(before, now, from, all));
        lines.push(Line::styled(
            format!("{what:<18} {:>9} {:>9}", count(a_second), count(number(all))),
            FAINT,
        ));
    }
    lines
}

fn calls(before: Option<&Stats>, now: &Stats, heights: &[char]) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = title(format!(
        "{:<12} {:>9} {:>9} {:>9}  {}",
        "SYSTEM CALLS", "A SECOND", "IN ALL", "MEAN", "<1us 4 16 64 .. >1s"
    ))
    .into();
    for (class, rate, all) in by_name(before, now, |stats| stats.counters.as_ref().map(|it| &it.syscalls)) {
        let latency = now.counters.as_ref().and_then(|it| it.syscall_latency.get(class));
        let (mean, shape) = latency.map(|it| shape(it, heights)).unwrap_or_default();
        lines.push(Line::from(vec![
            Span::raw(format!(
                "{:<12} {:>9} {:>9} {mean:>9}  ",
                printable(class),
                count(rate),
                count(number(all))
            )),
            Span::styled(shape, LINE),
        ]));
    }
    let named = by_name(before, now, |stats| stats.counters.as_ref().map(|it| &it.syscalls_by_name));
    lines.extend(named.into_iter().take(CALLS).map(|(name, rate, all)| {
        let name: String = printable(name).chars().take(12).collect();
        Line::styled(format!("{name:<12} {:>9} {:>9}", count(rate), count(number(all))), FAINT)
    }));
    lines
}

/// The mean of a distribution, and how it looks: a character for each count.
fn shape(latency: &Latency, heights: &[char]) -> (String, String) {
    let counts = latency.counts.iter().take(12);
    let most = counts.clone().max().copied().unwrap_or(0);
    let all = counts.clone().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let mean = if all == 0 { String::new() } else { time(number(latency.sum_ns) / number(all)) };
    (mean, format!("|{}|", counts.map(|it| height(number(*it), number(most), heights)).collect::<String>()))
}

fn time(ns: f64) -> String {
    match ns {
        _ if ns < 1e3 => format!("{ns:.0}ns"),
        _ if ns < 1e6 => format!("{:.1}us", ns / 1e3),
        _ if ns < 1e9 => format!("{:.1}ms", ns / 1e6),
        _ => format!("{:.1}s", ns / 1e9),
    }
}

fn devices(before: Option<&Stats>, now: &Stats) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> =
        title(format!("{:<12} {:>9} {:>9} {:>9}", "DEVICE", "ASKED/s", "IN/s", "OUT/s")).into();
    let all = now.counters.iter().flat_map(|counters| &counters.devices);
    lines.extend(all.map(|device| {
        let earlier = before
            .and_then(|it| it.counters.as_ref())
            .and_then(|it| it.devices.iter().find(|it| it.name == device.name));
        let a_second = |from: Option<u64>, to| {
            before.zip(from).map_or(0.0, |(before, from)| rate(before, now, from, to))
        };
        Line::raw(format!(
            "{:<12} {:>9} {:>9} {:>9}",
            printable(&device.name),
            count(a_second(earlier.map(|it| it.requests), device.requests)),
            bytes_a_second(a_second(earlier.map(|it| it.read_bytes), device.read_bytes)),
            bytes_a_second(a_second(earlier.map(|it| it.written_bytes), device.written_bytes)),
        ))
    }));
    lines
}
