//! `ps` and `inspect`.

use septum_api_client::Client;
use septum_api_types::exit::Code;
use septum_api_types::v1::{Partition, PartitionState, Problem};

use crate::args::{Format, Ps, Several};
use crate::message;
use crate::table::{Row, table};

/// `septum ps`
pub async fn ps(client: &Client, options: &Ps) -> Result<u8, Problem> {
    let all = client.partitions(&[]).await?;
    // The newest first, as on this host.
    let shown = all.into_iter().rev().filter(|partition| options.all || partition.state.is_live());
    let text = match options.format {
        _ if options.quiet => shown.map(|partition| format!("{}\n", partition.id)).collect(),
        Format::Json => {
            shown.map(|partition| serde_json::to_string(&partition).unwrap_or_default() + "\n").collect()
        }
        Format::Table => table(&shown.map(row).collect::<Vec<_>>()),
    };
    message::print(&text);
    Ok(0)
}

fn row(partition: Partition) -> Row {
    let short = match &partition.state {
        PartitionState::Exited { status, message: Some(_), .. } => {
            Code::of_number(*status).map(Code::in_short)
        }
        _ => None,
    };
    Row {
        id: partition.id,
        name: partition.name,
        state: partition.state,
        created_ms: partition.created_ms,
        started_ms: partition.started_ms,
        command: partition.command,
        short,
    }
}

/// `septum inspect`
pub async fn inspect(client: &Client, which: &Several) -> Result<u8, Problem> {
    let (mut found, mut status) = (Vec::new(), 0);
    for wanted in &which.partitions {
        match client.look(wanted).await {
            Ok(partition) => found.push(partition),
            Err(problem) => status = super::tell(problem),
        }
    }
    message::print(&(serde_json::to_string_pretty(&found).unwrap_or_default() + "\n"));
    Ok(status)
}
