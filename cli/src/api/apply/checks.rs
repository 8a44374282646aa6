//! What can be told of a spec without the coordinator, so that it is told with its line: quantities, names, paths.
//!
//! The parsers are those of the command line, and the coordinator's process looks at everything again.

use std::fmt::Display;
use std::str::FromStr;

use septum_api_types::disk::Disk;
use septum_api_types::duration::Span;
use septum_api_types::names::{HostEntry, Nameserver};
use septum_api_types::network::{Expose, Publish, Rule};
use septum_api_types::privilege::PrivilegeChoice;
use septum_api_types::restart::Restart;
use septum_api_types::signal::Signal;
use septum_api_types::size::Size;
use septum_api_types::tmpfs::Tmpfs;
use septum_api_types::ulimit::Ulimit;
use septum_api_types::v1::CreatePartition;
use septum_api_types::v1::partition::name;
use septum_api_types::volume::Volume;

use super::source::Step;

/// A field, and what is wrong with it.
pub type Wrong = (Vec<Step>, String);

/// The first thing that is wrong with a spec.
pub fn wrong(spec: &CreatePartition) -> Option<Wrong> {
    let Some(own) = &spec.name else {
        return Some((
            vec![Step::Key("name".to_owned())],
            "it is missing: a partition is found by it".to_owned(),
        ));
    };
    let network = &spec.network;
    let exposed: Vec<String> = network.expose.iter().map(ToString::to_string).collect();
    let singles = [
        one("name", Some(own), name),
        one("memory", spec.memory.as_ref(), parsed::<Size>),
        one("timeout", spec.timeout.as_ref(), parsed::<Span>),
        one("privilege", spec.privilege.as_ref(), parsed::<PrivilegeChoice>),
        one("stop_signal", spec.stop_signal.as_ref(), parsed::<Signal>),
        one("restart", spec.restart.as_ref(), parsed::<Restart>),
        one("directory", spec.directory.as_ref(), absolute),
        one("rootfs", spec.rootfs.as_ref(), absolute),
        several("volumes", &spec.volumes, |text| {
            if text.starts_with('.') { absolute(text) } else { told(Volume::parse(text.as_bytes())) }
        }),
        several("tmpfs", &spec.tmpfs, |text| told(Tmpfs::parse(text.as_bytes()))),
        several("disks", &spec.disks, |text| {
            absolute(text).and_then(|()| told(Disk::parse(text.as_bytes())))
        }),
        several("ulimits", &spec.ulimits, parsed::<Ulimit>),
        several("network.allow", &network.allow, parsed::<Rule>),
        several("network.publish", &network.publish, parsed::<Publish>),
        several("network.expose", &exposed, parsed::<Expose>),
        several("network.hosts", &network.hosts, parsed::<HostEntry>),
        several("network.dns", &network.dns, parsed::<Nameserver>),
        several("env", &spec.env, |text| {
            let is_good = !text.is_empty() && !text.starts_with('=');
            if is_good { Ok(()) } else { Err("is no KEY=VALUE".to_owned()) }
        }),
    ];
    if spec.command.is_empty() && spec.image.is_none() {
        let why =
            "it is missing or empty: there is no program, and no image that says what to run".to_owned();
        return Some((vec![Step::Key("command".to_owned())], why));
    }
    singles.into_iter().flatten().next()
}

/// The way to a field by its name, with dots.
pub fn steps(field: &str) -> Vec<Step> {
    field.split('.').map(|key| Step::Key(key.to_owned())).collect()
}

fn told<T, E: Display>(result: Result<T, E>) -> Result<(), String> {
    result.map(|_| ()).map_err(|error| error.to_string())
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    told(text.parse::<T>())
}

/// Where the file of specs is, the coordinator does not know.
fn absolute(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        Ok(())
    } else {
        Err("is not a path from the root, beginning with '/'".to_owned())
    }
}

fn one(field: &str, value: Option<&String>, check: impl Fn(&str) -> Result<(), String>) -> Option<Wrong> {
    let value = value?;
    check(value).err().map(|why| (steps(field), format!("'{value}' {why}")))
}

fn several(field: &str, values: &[String], check: impl Fn(&str) -> Result<(), String>) -> Option<Wrong> {
    values.iter().enumerate().find_map(|(index, value)| {
        let why = check(value).err()?;
        let mut path = steps(field);
        path.push(Step::Index(index));
        Some((path, format!("'{value}' {why}")))
    })
}
