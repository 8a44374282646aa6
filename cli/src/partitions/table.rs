//! What `septum ps` shows of partitions, wherever they are.

use septum_api_types::v1::PartitionState;
use septum_registry::record::now_ms;

/// Columns of a command that are shown.
const COMMAND_WIDTH: usize = 40;

/// What is shown of one.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub name: Option<String>,
    pub state: PartitionState,
    pub created_ms: u64,
    pub started_ms: Option<u64>,
    pub command: String,
    /// Why it has ended, in two or three words.
    pub short: Option<&'static str>,
}

/// The table, in the rows' order.
pub fn table(partitions: &[Row]) -> String {
    let mut rows = vec![["ID", "NAME", "STATUS", "CREATED", "COMMAND"].map(str::to_owned)];
    let now = now_ms();
    for partition in partitions {
        rows.push([
            partition.id.clone(),
            partition.name.clone().unwrap_or_default(),
            status(partition, now),
            format!("{} ago", span(now.saturating_sub(partition.created_ms))),
            shortened(&partition.command),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}   "));
        cells.collect::<String>() + &row[4] + "\n"
    };
    rows.iter().map(line).collect()
}

fn status(partition: &Row, now: u64) -> String {
    let ago = |ms: u64| span(now.saturating_sub(ms));
    match &partition.state {
        PartitionState::Running => {
            format!("up {}", ago(partition.started_ms.unwrap_or(partition.created_ms)))
        }
        PartitionState::Exited { status, at_ms, .. } => {
            let short = partition.short.map(|short| format!(", {short}")).unwrap_or_default();
            format!("exited ({status}{short}) {} ago", ago(*at_ms))
        }
        other => other.name().to_owned(),
    }
}

/// `5 seconds`, `1 hour`.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn shortened(command: &str) -> String {
    match command.char_indices().nth(COMMAND_WIDTH) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_commands_are_short() {
        assert_eq!(span(0), "0 seconds");
        assert_eq!(span(61_000), "1 minute");
        assert_eq!(span(7_200_000), "2 hours");
        assert_eq!(span(86_400_000 * 3), "3 days");
        assert_eq!(shortened("ls"), "ls");
        assert_eq!(shortened(&"é".repeat(50)).chars().count(), 41);
    }
}
