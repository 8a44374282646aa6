//! `septum apply`, `septum diff`: partitions as files say.
//!
//! ```text
//!   source (text, places) ─► specs, checks (what is wanted) ─► plan (pure) ─► carry (one partition after the other)
//!                               the coordinator (what is) ──────┘
//! ```
//!
//! What is wanted and what is are compared; nothing is remembered on this side. So applying twice does nothing the second time, and whoever was
//! cut off applies again.

mod carry;
mod checks;
mod plan;
mod show;
mod source;
mod specs;

use std::process::ExitCode;

use septum_api_client::Client;
use septum_api_types::exit::Code;
use septum_api_types::v1::{APPLIED, Problem};
use tokio::time::Instant;

use self::plan::{Action, Step};
use self::specs::Wanted;
use crate::args::{Apply, Diff, Specs};
use crate::ask::talk;
use crate::place::Place;
use crate::tell::{print, tell};

/// The status of `septum diff` if there are differences.
const DIFFERENT: u8 = 1;

/// A plan: what files want, what no file wants, and what is done about both.
struct Plan {
    wanted: Vec<(Wanted, Step)>,
    /// Identifiers, and what is done.
    unwanted: Vec<(String, Step)>,
}

impl Plan {
    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.wanted.iter().map(|(_, step)| step).chain(self.unwanted.iter().map(|(_, step)| step))
    }
}

async fn make(client: &Client, wanted: Vec<Wanted>, specs: &Specs) -> Result<Plan, Problem> {
    let mut plan = Plan { wanted: Vec::new(), unwanted: Vec::new() };
    if specs.prune {
        let labels: Vec<String> = specs.selector.iter().cloned().chain([APPLIED.to_owned()]).collect();
        for partition in client.partitions(&labels).await? {
            let Some(name) = partition.name.filter(|name| wanted.iter().all(|it| it.name != *name)) else {
                continue;
            };
            let step = Step { partition: name, action: Action::Remove, differences: Vec::new() };
            plan.unwanted.push((partition.id, step));
        }
    }
    for wanted in wanted {
        let present = carry::look(client, &wanted.name).await?;
        let step = plan::decide(&wanted.name, &wanted.spec, present.as_ref())
            .map_err(|problem| placed(problem, &wanted))?;
        plan.wanted.push((wanted, step));
    }
    Ok(plan)
}

/// A problem with the place of the field that it names, or of the partition.
fn placed(mut problem: Problem, wanted: &Wanted) -> Problem {
    let field = problem.cause.strip_prefix("field '").and_then(|rest| rest.split('\'').next());
    problem.cause = format!("{}: {}", wanted.place(field.unwrap_or("name")), problem.cause);
    problem
}

fn read(specs: &Specs) -> Result<Vec<Wanted>, ExitCode> {
    specs::read_all(&specs.files).map_err(|failure| {
        tell(&failure.to_string());
        ExitCode::from(failure.code.number())
    })
}

/// `septum diff`
pub fn diff(place: &Place, options: &Diff) -> ExitCode {
    let wanted = match read(&options.specs) {
        Ok(wanted) => wanted,
        Err(code) => return code,
    };
    talk(place, async |client| {
        let plan = make(&client, wanted, &options.specs).await?;
        let is_same = plan.steps().all(|step| step.action == Action::Unchanged);
        print(&if options.specs.json { show::json(plan.steps()) } else { show::differences(plan.steps()) });
        Ok(if is_same { 0 } else { DIFFERENT })
    })
}

/// `septum apply`
pub fn apply(place: &Place, options: &Apply) -> ExitCode {
    let wanted = match read(&options.specs) {
        Ok(wanted) => wanted,
        Err(code) => return code,
    };
    let specs = &options.specs;
    talk(place, async |client| {
        let plan = make(&client, wanted, specs).await?;
        if options.dry_run {
            print(&if specs.json { show::json(plan.steps()) } else { show::plan(plan.steps()) });
            return Ok(0);
        }
        if !specs.json {
            print(&show::plan(plan.steps()));
        }
        let (done, problem) = carry_out(&client, plan, options).await;
        if specs.json {
            print(&show::json(done.iter()));
        }
        problem.map_or(Ok(0), Err)
    })
}

/// Does it all, even if something fails; returns what was done, and what failed first. What else failed is told.
async fn carry_out(client: &Client, plan: Plan, options: &Apply) -> (Vec<Step>, Option<Problem>) {
    let (mut done, mut first) = (Vec::new(), None::<Problem>);
    let mut failed = |problem: Problem| match &first {
        None => first = Some(problem),
        Some(_) => tell(&format!("septum: {problem}\nhint: {}", problem.remediation)),
    };
    let mut good = Vec::new();
    for (wanted, _) in plan.wanted {
        match carry::settle(client, &wanted.name, &wanted.spec).await {
            Ok(step) => {
                tell_done(&step, options.specs.json);
                done.push(step);
                good.push(wanted);
            }
            Err(problem) => failed(placed(problem, &wanted)),
        }
    }
    for (id, step) in plan.unwanted {
        match carry::remove(client, &step.partition, &id).await {
            Ok(()) => {
                tell_done(&step, options.specs.json);
                done.push(step);
            }
            Err(problem) => failed(problem),
        }
    }
    if let Some(limit) = options.wait {
        let end = limit.map(|limit| Instant::now() + limit.as_duration());
        for wanted in good.iter().filter(|wanted| wanted.spec.start) {
            if let Err(problem) = carry::wait(client, &wanted.name, end).await {
                failed(problem);
            }
        }
    }
    (done, first)
}

fn tell_done(step: &Step, is_json: bool) {
    if !is_json && step.action != Action::Unchanged {
        print(&format!("{}: {}\n", step.partition, step.action.words().1));
    }
}

/// The status for a problem.
pub fn status(problem: &Problem) -> u8 {
    problem.exit_status.filter(|status| *status > DIFFERENT).unwrap_or(Code::Host.number())
}
