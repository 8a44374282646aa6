//! Where Septum keeps its state on a host.
//!
//! ```text
//!             root                 others
//! data        /var/lib/septum      $XDG_DATA_HOME/septum, or ~/.local/share/septum      images, named volumes
//! runtime     /run/septum          $XDG_RUNTIME_DIR/septum, or /tmp/septum-UID           running partitions
//! state       /var/lib/septum      $XDG_STATE_HOME/septum, or ~/.local/state/septum      which commands were typed
//! config      $XDG_CONFIG_HOME/septum, or ~/.config/septum, of any user                  contexts
//! ```
//!
//! `SEPTUM_DATA_DIR`, `SEPTUM_RUNTIME_DIR` and `SEPTUM_CONFIG_DIR` replace them, the first one that of the state as well. Relative values of any of these variables are ignored, as the
//! XDG Base Directory Specification asks. Nothing is created here.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The directory of what outlives partitions and the host's uptime.
#[must_use]
pub fn data_directory(uid: u32) -> PathBuf {
    data_of(uid, &|name| env::var_os(name))
}

/// The directory of what describes running partitions; emptied by a reboot of the host.
#[must_use]
pub fn runtime_directory(uid: u32) -> PathBuf {
    runtime_of(uid, &|name| env::var_os(name))
}

/// The directory of what a user's own programs remember; `None` for a user without a home.
#[must_use]
pub fn state_directory(uid: u32) -> Option<PathBuf> {
    state_of(uid, &|name| env::var_os(name))
}

/// The directory of what a user has chosen; nothing if there is no home.
#[must_use]
pub fn config_directory() -> Option<PathBuf> {
    config_of(&|name| env::var_os(name))
}

/// Looks up a variable of the environment.
type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn data_of(uid: u32, variables: Variables) -> PathBuf {
    if let Some(given) = absolute(variables, "SEPTUM_DATA_DIR") {
        return given;
    }
    let home = || absolute(variables, "HOME").map(|home| home.join(".local/share"));
    match uid {
        0 => PathBuf::from("/var/lib/septum"),
        _ => match absolute(variables, "XDG_DATA_HOME").or_else(home) {
            Some(base) => base.join("septum"),
            None => PathBuf::from(format!("/var/tmp/septum-{uid}")),
        },
    }
}

fn state_of(uid: u32, variables: Variables) -> Option<PathBuf> {
    let of_user = || {
        let home = || absolute(variables, "HOME").map(|home| home.join(".local/state"));
        Some(absolute(variables, "XDG_STATE_HOME").or_else(home)?.join("septum"))
    };
    absolute(variables, "SEPTUM_DATA_DIR").or_else(|| match uid {
        0 => Some(PathBuf::from("/var/lib/septum")),
        _ => of_user(),
    })
}

fn runtime_of(uid: u32, variables: Variables) -> PathBuf {
    if let Some(given) = absolute(variables, "SEPTUM_RUNTIME_DIR") {
        return given;
    }
    match uid {
        0 => PathBuf::from("/run/septum"),
        _ => match absolute(variables, "XDG_RUNTIME_DIR") {
            Some(base) => base.join("septum"),
            None => PathBuf::from(format!("/tmp/septum-{uid}")),
        },
    }
}

fn config_of(variables: Variables) -> Option<PathBuf> {
    let home = || absolute(variables, "HOME").map(|home| home.join(".config"));
    absolute(variables, "SEPTUM_CONFIG_DIR").or_else(|| {
        let base = absolute(variables, "XDG_CONFIG_HOME").or_else(home)?;
        Some(base.join("septum"))
    })
}

fn absolute(variables: Variables, name: &str) -> Option<PathBuf> {
    variables(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_one_counts() {
        let none = |_: &str| None;
        assert_eq!(data_of(0, &none), PathBuf::from("/var/lib/septum"));
        assert_eq!(runtime_of(0, &none), PathBuf::from("/run/septum"));
        assert_eq!(data_of(1000, &none), PathBuf::from("/var/tmp/septum-1000"));
        assert_eq!(runtime_of(1000, &none), PathBuf::from("/tmp/septum-1000"));
        let user = |name: &str| match name {
            "HOME" => Some("/home/ada".into()),
            "XDG_DATA_HOME" => Some("relative".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1000".into()),
            _ => None,
        };
        assert_eq!(data_of(1000, &user), PathBuf::from("/home/ada/.local/share/septum"));
        assert_eq!(runtime_of(1000, &user), PathBuf::from("/run/user/1000/septum"));
        assert_eq!(state_of(0, &none), Some(PathBuf::from("/var/lib/septum")));
        assert_eq!(state_of(1000, &none), None);
        assert_eq!(state_of(1000, &user), Some(PathBuf::from("/home/ada/.local/state/septum")));
        assert_eq!(config_of(&none), None);
        assert_eq!(config_of(&user), Some("/home/ada/.config/septum".into()));
        let given = |name: &str| name.starts_with("SEPTUM_").then(|| "/x".into());
        assert_eq!(data_of(0, &given), PathBuf::from("/x"));
        assert_eq!(runtime_of(1000, &given), PathBuf::from("/x"));
        assert_eq!(state_of(1000, &given), Some(PathBuf::from("/x")));
    }
}
