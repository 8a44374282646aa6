//! Recipes: a base, files on top of it, and how it is started.
//!
//! ```toml
//! base = "rootfs.tar"             # a path beside the recipe, "image:NAME", or left out for nothing
//! entrypoint = ["python3", "/app/main.py"]
//! command = ["--help"]
//! user = "app"
//! workdir = "/app"
//! stop_signal = "INT"              # what `septum stop` sends; else TERM
//! volumes = ["/var/lib/app"]       # each partition gets a volume of its own there, unless another is said
//!
//! [[copy]]
//! from = "app"                    # a path beside the recipe
//! to = "/app"                     # behind a slash: into that directory
//! owner = "1000:1000"             # else 0:0
//!
//! [env]
//! LANG = "C.UTF-8"
//!
//! [labels]
//! version = "1.2"
//! ```
//!
//! Everything that a recipe names lies beside it: it may come from others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{Loaded, Unpacking, directory, image, load_from};
use crate::config::{Changes, Config};
use crate::error::Error;
use crate::store::Store;
use crate::tree::Tree;

/// What a recipe's name ends with.
pub(super) const EXTENSION: &str = "toml";
const LARGEST: u64 = 1 << 20;
const IMAGE: &str = "image:";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    base: Option<String>,
    #[serde(default)]
    copy: Vec<Copy>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    user: Option<String>,
    workdir: Option<String>,
    stop_signal: Option<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    from: PathBuf,
    to: String,
    owner: Option<String>,
}

/// Follows a recipe.
pub(super) fn load(path: &Path, store: &Store, unpacking: &mut Unpacking<'_>) -> Result<Loaded, Error> {
    let wrong = |why: String| Error::Unusable(format!("the recipe '{}' is wrong: {why}", path.display()));
    let len = fs::metadata(path).map_err(Error::host("read", path))?.len();
    if len > LARGEST {
        return Err(wrong("it is too long".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(Error::host("read", path))?;
    let recipe: Recipe = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let folder = path.canonicalize().map_err(Error::host("read", path))?;
    let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
    let Loaded { mut tree, mut config } = match &recipe.base {
        None => Loaded { tree: Tree::new(), config: Config::default() },
        Some(base) => match base.strip_prefix(IMAGE) {
            Some(name) => image::load(&name.parse()?, store, unpacking)?,
            None => {
                let base = beside(&folder, Path::new(base)).map_err(wrong)?;
                if base.extension().is_some_and(|extension| extension == EXTENSION) {
                    return Err(wrong(
                        "its base is a recipe; build that first, and name it image:NAME".to_owned(),
                    ));
                }
                load_from(&base, unpacking)?
            }
        },
    };
    tree.next_layer();
    for copy in &recipe.copy {
        let from = beside(&folder, &copy.from).map_err(wrong)?;
        let owner = owner(copy.owner.as_deref())
            .ok_or_else(|| wrong("an owner is such as '1000:1000'".to_owned()))?;
        let target = match (copy.to.ends_with('/'), from.file_name()) {
            (true, Some(name)) => format!("{}{}", copy.to, name.to_string_lossy()),
            _ => copy.to.clone(),
        };
        directory::load(&from, target.as_bytes(), Some(owner), &mut tree, unpacking)?;
    }
    let changes = Changes {
        environment: recipe.env.into_iter().collect(),
        entrypoint: recipe.entrypoint,
        command: recipe.command,
        user: recipe.user,
        working_directory: recipe.workdir,
        stop_signal: recipe.stop_signal,
        volumes: recipe.volumes,
        labels: recipe.labels.into_iter().collect(),
    };
    changes.apply(&mut config);
    Ok(Loaded { tree, config })
}

/// A path beside the recipe, where no link leads away from.
fn beside(folder: &Path, path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("'{shown}' is not beside it"));
    }
    let found = folder.join(path).canonicalize();
    let found = found.map_err(|error| format!("'{shown}': {}", crate::error::reason(&error)))?;
    if found.starts_with(folder) { Ok(found) } else { Err(format!("'{shown}' is not beside it")) }
}

fn owner(text: Option<&str>) -> Option<(u32, u32)> {
    let Some(text) = text else { return Some((0, 0)) };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Some((user.parse().ok()?, group.parse().ok()?))
}
