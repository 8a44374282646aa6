//! `stats`.

use std::io::IsTerminal as _;
use std::time::Duration;

use septum_api_client::Client;
use septum_api_types::v1::{Problem, Stats};

use crate::args::{Format, StatsOptions};
use crate::latest::Latest;
use crate::{message, stats_table};

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);

/// `septum stats`
pub async fn stats(client: &Client, options: &StatsOptions) -> Result<u8, Problem> {
    let mut latest = Latest::default();
    let is_table = options.format() == Format::Table;
    let is_screen = !options.no_stream && is_table && std::io::stdout().is_terminal();
    if is_table {
        // Rates need a past; what the coordinator has read may be a second old.
        latest.update(&read(client, options).await?);
        tokio::time::sleep(PERIOD).await;
    }
    loop {
        let read = read(client, options).await?;
        let rates = latest.update(&read);
        let text = stats_table::text(&read, &rates, options.format(), is_screen);
        // Whoever reads is gone.
        if !message::try_print(&text) || options.no_stream {
            return Ok(0);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Those that are meant, or all that run; one that was named must run.
async fn read(client: &Client, options: &StatsOptions) -> Result<Vec<Stats>, Problem> {
    let mut read = Vec::new();
    if options.partitions.is_empty() {
        let all = client.all_stats().await?;
        if !options.threads {
            return Ok(all);
        }
        for stats in all {
            // It may have ended since.
            read.extend(client.stats(&stats.partition, true).await.ok());
        }
        return Ok(read);
    }
    for wanted in &options.partitions {
        read.push(client.stats(wanted, options.threads).await?);
    }
    Ok(read)
}
