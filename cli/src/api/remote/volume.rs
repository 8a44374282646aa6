//! `volume`.

use std::collections::HashMap;
use std::io::IsTerminal as _;

use septum_api_client::Client;
use septum_api_types::v1::{CreateVolume, Problem, ProblemCode, Volume};

use super::words::wrong;
use crate::args::{PruneVolumes, VolumeAction};
use crate::message;
use crate::volumes_shown::{self, Shown};

/// `septum volume`
pub async fn volume(client: &Client, action: VolumeAction) -> Result<u8, Problem> {
    match action {
        VolumeAction::Create(create) => {
            let is_anonymous = create.name.is_none();
            let random = || {
                volumes_shown::random_name().map_err(|error| {
                    wrong(
                        "cannot make a volume",
                        format!("the host gives no random numbers: {error}"),
                        "give it a name",
                    )
                })
            };
            let name = create.name.map_or_else(random, Ok)?;
            let labels = create.label.into_iter().collect();
            // As in Docker: one that is there already is as good.
            let made = client.create_volume(&CreateVolume { name, labels, is_anonymous }).await?;
            message::print(&format!("{}\n", made.name));
            Ok(0)
        }
        VolumeAction::Ls(list) => {
            let all = shown(client, client.volumes().await?).await?;
            let wanted: Vec<Shown> = all.into_iter().filter(|it| it.is_wanted(&list.filter)).collect();
            message::print(&volumes_shown::list(&list, &wanted));
            Ok(0)
        }
        VolumeAction::Inspect(inspect) => {
            let (mut found, mut status) = (Vec::new(), 0);
            for name in &inspect.volumes {
                match client.volume(name).await {
                    Ok(volume) => found.push(volume),
                    Err(problem) => status = tell(problem),
                }
            }
            message::print(&volumes_shown::json(&shown(client, found).await?));
            Ok(status)
        }
        VolumeAction::Rm(remove) => {
            let mut status = 0;
            for name in &remove.volumes {
                match client.remove_volume(name).await {
                    Ok(()) => message::print(&format!("{name}\n")),
                    Err(problem) if problem.code == ProblemCode::NotFound && remove.force => {}
                    Err(problem) => status = tell(problem),
                }
            }
            Ok(status)
        }
        VolumeAction::Prune(options) => prune(client, &options).await,
    }
}

/// Tells a problem of a volume, which on a host has the status of paths.
fn tell(mut problem: Problem) -> u8 {
    if matches!(problem.code, ProblemCode::NotFound | ProblemCode::Conflict) {
        problem.exit_status = Some(septum_api_types::exit::Code::Path.number());
    }
    super::tell(problem)
}

/// As on a host: with the names of the partitions that have them.
async fn shown(client: &Client, volumes: Vec<Volume>) -> Result<Vec<Shown>, Problem> {
    let mut names = HashMap::new();
    if volumes.iter().any(|volume| !volume.partitions.is_empty()) {
        let all = client.partitions(&[]).await?;
        names.extend(all.into_iter().filter_map(|partition| Some((partition.id, partition.name?))));
    }
    let shown = volumes.into_iter().map(|volume| {
        let name = |id: String| names.get(&id).cloned().unwrap_or(id);
        let mut used_by: Vec<String> = volume.partitions.into_iter().map(name).collect();
        if volume.is_used && used_by.is_empty() {
            used_by.push("(unknown)".to_owned());
        }
        Shown {
            anonymous: volume.is_anonymous,
            created_ms: volume.created_ms,
            labels: volume.labels,
            mountpoint: volume.path,
            name: volume.name,
            used_by,
        }
    });
    Ok(shown.collect())
}

async fn prune(client: &Client, options: &PruneVolumes) -> Result<u8, Problem> {
    let all = shown(client, client.volumes().await?).await?;
    let unused = all.into_iter().filter(|volume| {
        volume.is_wanted(&options.filter) && volume.used_by.is_empty() && (options.all || volume.anonymous)
    });
    if !options.force {
        if !std::io::stdin().is_terminal() {
            return Err(wrong("cannot remove volumes", "nobody is there to be asked", "say --force"));
        }
        if !volumes_shown::is_agreed(options.all) {
            return Ok(0);
        }
    }
    let mut text = String::new();
    for volume in unused {
        match client.remove_volume(&volume.name).await {
            Ok(()) => text += &format!("{}\n", volume.name),
            // Somebody was faster, or begins to use it.
            Err(problem) if matches!(problem.code, ProblemCode::NotFound | ProblemCode::Conflict) => {}
            Err(problem) => {
                tell(problem);
            }
        }
    }
    // How much room they took is not known here.
    let head = if text.is_empty() { "" } else { "Deleted volumes:\n" };
    message::print(&format!("{head}{text}"));
    Ok(0)
}
