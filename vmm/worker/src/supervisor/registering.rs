//! What the registry is told of a partition, and what a person is told if it takes nothing.

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::record::{self, Record, State};
use septum_registry::{RegistryError, directory};

use crate::keeping::Keeping;
use crate::protocol::Order;

/// It cannot be entered.
pub(super) fn not_registered(error: &RegistryError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let failure =
        Failure::new(Code::Path, "cannot enter the partition into the registry", format!("{error}{cause}"));
    match error {
        RegistryError::NameTaken { name, .. } => {
            failure.hint(format!("choose another --name, or end that one with 'septum stop {name}'"))
        }
        _ => failure.hint("SEPTUM_RUNTIME_DIR can name another directory, which must be yours alone"),
    }
}

/// What others learn of the partition at first.
pub(super) fn record_of(order: &Order, keeping: &Keeping) -> Record {
    let spec = &order.spec;
    let id = keeping.detached.as_ref().map(|detached| detached.id.clone());
    Record {
        version: record::VERSION,
        id: id.or_else(|| directory::new_id().ok()).unwrap_or_else(|| "000000000000".to_owned()),
        name: keeping.name.clone(),
        program: spec.program.clone(),
        arguments: spec.arguments.clone(),
        created_ms: record::now_ms(),
        started_ms: None,
        state: if keeping.detached.is_some() { State::Starting } else { State::Running },
        supervisor: std::process::id(),
        worker: None,
        restarts: 0,
        is_detached: keeping.detached.is_some(),
        has_terminal: spec.terminal.is_some(),
        log: keeping.detached.as_ref().map(|detached| detached.log_directory.clone()),
        memory_bytes: spec.memory_bytes,
        cpus: spec.cpus,
        volumes: spec.volumes.iter().filter_map(|volume| volume.name.clone()).collect(),
        labels: keeping.labels.clone(),
    }
}
