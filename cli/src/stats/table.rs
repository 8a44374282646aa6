//! Readings as text, wherever they were read.

use septum_api_types::v1::Stats;

use super::amounts::{self, bytes, count, percent};
use super::rates::Rates;
use crate::args::Format;

/// Goes to the first line and the first column (ECMA-48 CUP).
const HOME: &str = "\x1b[H";
/// Clears from here to the end of the line (EL), and of the screen (ED).
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// Readings with their rates; on a screen, in the place of those before.
pub fn text(read: &[Stats], rates: &[Rates], format: Format, is_screen: bool) -> String {
    let text = match format {
        Format::Json => read.iter().map(json).collect(),
        Format::Table => table(read, rates),
    };
    match is_screen {
        true => format!("{HOME}{}{CLEAR_REST}", text.replace('\n', &format!("{CLEAR_LINE}\n"))),
        false => text,
    }
}

fn json(stats: &Stats) -> String {
    serde_json::to_string(stats).unwrap_or_default() + "\n"
}

/// What Docker's has, and what only this one can know.
const HEADS: [&str; 10] = [
    "ID",
    "NAME",
    "CPU %",
    "MEM USAGE / LIMIT",
    "MEM %",
    "NET I/O",
    "FILE I/O",
    "SYSCALLS/s",
    "FAULTS/s",
    "THREADS",
];

fn table(read: &[Stats], rates: &[Rates]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(read.iter().zip(rates).map(|(stats, rates)| row(stats, rates)));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; HEADS.len()]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(stats: &Stats, rates: &Rates) -> [String; HEADS.len()] {
    let memory = &stats.memory;
    let [net, files] = [&["vsock"][..], &["fs", "block"][..]].map(|kinds| amounts::traffic(stats, kinds));
    [
        stats.partition.clone(),
        stats.name.clone().unwrap_or_default() + if stats.is_paused { " (paused)" } else { "" },
        percent(rates.cpu_percent),
        format!("{} / {}", bytes(memory.used_bytes), bytes(memory.limit_bytes)),
        percent(amounts::share(memory.used_bytes, memory.limit_bytes)),
        format!("{} / {}", bytes(net.0), bytes(net.1)),
        format!("{} / {}", bytes(files.0), bytes(files.1)),
        count(rates.syscalls),
        count(rates.page_faults),
        stats.counters.as_ref().map_or(0, |counters| counters.vcpus).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let stats = Stats { partition: "0123456789ab".into(), name: Some("web".into()), ..Stats::default() };
        let text = table(&[stats], &[Rates { cpu_percent: 12.34, syscalls: 1234.0, page_faults: 0.4 }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("CPU %"), lines[1].find("12.3%"));
        assert!(lines[1].contains("1.2k"), "{text}");
    }
}
