//! Starting a partition: a process of its own parses the order and forks, as the coordinator, which has threads, must not.
//!
//! It runs in a task of its own: a client that hangs up in the middle does not stop it.

use std::process::Stdio;
use std::sync::Arc;

use septum_api_types::v1::{CreatePartition, Problem};
use septum_registry::keeper::{Order, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::coordinator::Coordinator;
use crate::create::invalid;
use crate::machine::Change;
use crate::problems;

/// Bytes of the longest verdict.
const VERDICT_LIMIT: u64 = 1 << 20;

impl Coordinator {
    /// Starts a partition whose state says so already, and which is marked as busy. One that is new and does not start is forgotten.
    pub(crate) async fn launch_and_finish(self: &Arc<Self>, id: String, is_new: bool) -> Result<(), Problem> {
        let coordinator = Arc::clone(self);
        let task = tokio::spawn(async move {
            let result = coordinator.launch(&id).await;
            match &result {
                Ok(()) => {}
                Err(_) if is_new => {
                    // Whatever had started before it failed is gone already, its log too.
                    coordinator.forget(&id);
                }
                Err(problem) => {
                    let status = problem.exit_status.unwrap_or(u8::MAX);
                    coordinator.note(&id, Change::StartFailed { status, message: problem.to_string() });
                }
            }
            coordinator.finish(&id);
            if result.is_ok() {
                coordinator.look(&id);
            }
            result
        });
        task.await.map_err(|error| problems::internal("cannot start the partition", error))?
    }

    async fn launch(&self, id: &str) -> Result<(), Problem> {
        let _turn = self.starts.acquire().await.map_err(|error| problems::internal(STARTING, error))?;
        if let Some(old) = self.registry.get(id) {
            // It has ended; its supervisor may be about to go.
            for _ in 0..200 {
                if old.remove(&self.registry) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        let create = self.lock().book.get(id).and_then(|partition| partition.create.clone());
        let create = create.ok_or_else(|| problems::no_partition(id))?;
        match self.order(id, &create, false).await? {
            Verdict::Started | Verdict::Good => {
                if let Some(found) = self.registry.get(id) {
                    self.note(id, Change::Observed(Box::new(found.record)));
                }
                Ok(())
            }
            Verdict::Refused(failure) => Err(invalid(&failure)),
            Verdict::Failed { status, message } => Err(problems::not_started(status, &message)),
        }
    }

    /// Has an order done.
    pub(crate) async fn order(
        &self,
        id: &str,
        create: &CreatePartition,
        only_check: bool,
    ) -> Result<Verdict, Problem> {
        let failed = |error: &dyn std::fmt::Display| problems::internal(STARTING, error);
        let order = Order { id: id.to_owned(), create: create.clone(), only_check };
        let text = serde_json::to_vec(&order).map_err(|error| failed(&error))?;
        let (program, arguments) = &self.configuration.keeper;
        let mut process = Command::new(program)
            .args(arguments)
            .current_dir("/")
            .env("SEPTUM_RUNTIME_DIR", &self.configuration.runtime)
            .env("SEPTUM_DATA_DIR", &self.configuration.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (Some(mut input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(failed(&"it has no streams"));
        };
        let sent = input.write_all(&text).await;
        drop(input);
        let mut verdict = Vec::new();
        let read = output.take(VERDICT_LIMIT).read_to_end(&mut verdict).await;
        let status = process.wait().await.map_err(|error| failed(&error))?;
        sent.and(read.map(|_| ())).map_err(|error| failed(&error))?;
        serde_json::from_slice(&verdict)
            .map_err(|_| failed(&format!("the process that starts it ended without a verdict: {status}")))
    }
}

const STARTING: &str = "cannot start the partition";
