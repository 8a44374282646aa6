//! `septum operation`: long work of the coordinator.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use septum_api_client::Client;
use septum_api_types::size::Size;
use septum_api_types::v1::{Operation, OperationState, Problem};

use crate::args::OperationAction;
use crate::ask::talk;
use crate::place::Place;
use crate::tell::{print, tell};

/// The status of `septum operation wait` for what did not come to a good end.
const NOT_DONE: u8 = 1;
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(200);

/// Does what was asked for.
pub fn operation(place: &Place, action: &OperationAction) -> ExitCode {
    talk(place, async |client| match action {
        OperationAction::Ls { json } => {
            let all = client.operations().await?;
            print(&if *json { as_json(&all) } else { table(&all) });
            Ok(0)
        }
        OperationAction::Show { id } => {
            print(&as_json(&client.operation(id).await?));
            Ok(0)
        }
        OperationAction::Wait { id, quiet } => wait(&client, id, *quiet).await,
        OperationAction::Cancel { id } => client.cancel(id).await.map(|_| 0),
    })
}

async fn wait(client: &Client, id: &str, quiet: bool) -> Result<u8, Problem> {
    let tells = !quiet && std::io::stderr().is_terminal();
    loop {
        let operation = client.operation(id).await?;
        match &operation.state {
            OperationState::Running => {
                if tells {
                    eprint!("\r{}", progress(&operation));
                }
                tokio::time::sleep(GLANCE).await;
                continue;
            }
            OperationState::Done { made, .. } => {
                print(&format!("{made}\n"));
                return Ok(0);
            }
            OperationState::Failed { problem, .. } => {
                tell(&format!("septum: {problem}\nhint: {}", problem.remediation));
            }
            other => tell(&format!(
                "septum: operation {id} did not end well: it is {}\nhint: ask for it again",
                other.name()
            )),
        }
        return Ok(NOT_DONE);
    }
}

fn progress(operation: &Operation) -> String {
    let (done, total) = (operation.done_bytes, operation.total_bytes.max(1));
    format!("{:>3} % of {}  ", done.saturating_mul(100) / total, Size(total))
}

fn table(all: &[Operation]) -> String {
    let mut text = format!("{:<14} {:<12} {:<10} {:>5}  SUBJECT\n", "ID", "KIND", "STATE", "DONE");
    for operation in all {
        let (done, total) = (operation.done_bytes, operation.total_bytes.max(1));
        let subject: String =
            operation.subject.iter().flat_map(|it| it.chars()).filter(|it| !it.is_control()).collect();
        let line = format!(
            "{:<14} {:<12} {:<10} {:>3} %  {subject}",
            operation.id,
            operation.kind.name(),
            operation.state.name(),
            done.saturating_mul(100) / total
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn as_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
