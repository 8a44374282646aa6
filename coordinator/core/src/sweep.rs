//! Keeping the book as the folder is, and the folder as is wanted: at the start, when a record changes, and every now and then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use septum_registry::record::now_ms;

use crate::coordinator::Coordinator;
use crate::machine::Change;
use crate::reconcile::{Step, decide};
use crate::watch::Watch;

/// How often all is looked at: supervisors that are killed tell nobody.
const PERIOD: Duration = Duration::from_secs(2);
/// Name of the fact that tells one start of the host from another.
const BOOT: &str = "boot";

impl Coordinator {
    /// What was known before meets what is now.
    pub(crate) fn recover(&self) {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim();
        let before = self.lock().store.fact(BOOT).ok().flatten();
        if before.as_deref() != Some(boot) {
            if before.is_some() {
                let ids: Vec<String> = self.lock().book.all().map(|it| it.id.clone()).collect();
                for id in ids {
                    if self.registry.get(&id).is_none() {
                        self.note(&id, Change::Rebooted);
                    }
                }
            }
            // Tried again by the next start.
            let _ = self.lock().store.set_fact(BOOT, boot);
        }
        self.sweep();
    }

    /// Looks at everything in the folder, and at everything that should be there.
    pub fn sweep(&self) {
        let busy = self.lock().busy.clone();
        let mut missing: HashSet<String> = self.lock().book.all().map(|it| it.id.clone()).collect();
        for found in self.registry.list() {
            let id = found.record.id.clone();
            missing.remove(&id);
            if !busy.contains(&id) && !self.lock().busy.contains(&id) {
                self.see(&id, Some(found));
            }
        }
        for id in missing {
            // It may have come, or have been started anew, since the list was made.
            self.look(&id);
        }
        self.write_rest();
    }

    /// Lives on beside the server: watches the folder and reconciles. Never returns.
    pub async fn keep(self: Arc<Self>) {
        let mut watch = Watch::new(&self.registry.partitions()).ok();
        let mut changes = self.changes();
        let mut next = tokio::time::Instant::now();
        loop {
            if tokio::time::Instant::now() >= next {
                let coordinator = Arc::clone(&self);
                let _ = tokio::task::spawn_blocking(move || coordinator.sweep()).await;
                self.reconcile();
                if let Some(watch) = &mut watch {
                    let live: Vec<String> = {
                        let inner = self.lock();
                        inner.book.all().filter(|it| it.state.is_live()).map(|it| it.id.clone()).collect()
                    };
                    live.iter().for_each(|id| watch.add(id));
                }
                next = tokio::time::Instant::now() + PERIOD;
            }
            changes.mark_unchanged();
            self.admit();
            let seen = async {
                match &mut watch {
                    Some(watch) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                id = seen => drop(self.look(&id)),
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Does for each partition what is to be done.
    fn reconcile(self: &Arc<Self>) {
        let steps: Vec<(String, Step)> = {
            let inner = self.lock();
            let step = |id: &str, it| decide(it, inner.busy.contains(id), now_ms());
            let steps = inner.book.all().map(|it| (it.id.clone(), step(&it.id, it)));
            steps.filter(|(_, step)| *step != Step::Rest).collect()
        };
        for (id, step) in steps {
            if !self.begin(&id) {
                continue;
            }
            let coordinator = Arc::clone(self);
            tokio::spawn(async move {
                match step {
                    Step::Rest => coordinator.finish(&id),
                    Step::Forget | Step::Remove => {
                        // What fails is tried again.
                        let _ = coordinator.clear_away(&id).await;
                        coordinator.finish(&id);
                    }
                    // Both start when there is room. What cannot be kept is tried again.
                    Step::Requeue | Step::Relaunch => {
                        let change = if step == Step::Requeue { Change::Requeue } else { Change::Relaunch };
                        let _ = coordinator.change(&id, "start", change);
                        coordinator.finish(&id);
                    }
                }
            });
        }
    }
}
