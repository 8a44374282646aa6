//! Who runs the program.
//!
//! Names are looked up where the partition itself finds them: in the image's or the root's `/etc/passwd` and `/etc/group`. On the
//! host's directories `/etc` is made up for the partition, and knows those that the host's files are asked for here. What is no
//! name there is a number, with or without an account, as Docker has it.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;

use super::plan::Root;

/// Files that say who is who are not larger than this.
const TABLE_LIMIT: u64 = 1 << 20;

/// The account that the program runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) group: String,
    /// Groups besides that one, with their names if they have some.
    pub(crate) others: Vec<(u32, Option<String>)>,
}

/// What a partition knows of users.
struct Accounts {
    passwd: String,
    group: String,
    /// As messages name it.
    place: String,
    /// `/home` of this partition is empty, and everybody's directory is made there.
    makes_homes: bool,
}

impl User {
    /// User 0, of whom nothing has to be known.
    pub(super) fn root() -> Self {
        Self {
            name: "root".into(),
            home: "/root".into(),
            uid: 0,
            gid: 0,
            group: "root".into(),
            others: Vec::new(),
        }
    }

    /// Who is asked for, or who the image says, or the caller; `etc` is the host's `/etc`.
    pub(super) fn find(spec: &PartitionSpec, root: &Root, etc: &Path) -> Result<Self, Failure> {
        let of_image = spec
            .image
            .as_ref()
            .map(|image| image.user.as_deref().filter(|user| !user.is_empty()).unwrap_or("0").to_owned());
        let wanted = spec.user.clone().or(of_image);
        if wanted.is_none() && spec.groups.is_empty() {
            return Ok(Self::caller(spec, etc));
        }
        let accounts = Accounts::of(root, etc);
        let mut user = match &wanted {
            Some(wanted) => accounts.user(wanted)?,
            None => Self::caller(spec, etc),
        };
        for wanted in &spec.groups {
            let group = accounts.group(wanted).ok_or_else(|| accounts.unknown("group", wanted, wanted))?;
            user.others.push(group);
        }
        user.others.sort();
        user.others.dedup_by_key(|(gid, _)| *gid);
        Ok(user)
    }

    /// The caller's account, with the name that the host gives it.
    pub(super) fn caller(spec: &PartitionSpec, etc: &Path) -> Self {
        let (uid, gid) = (spec.uid, spec.gid);
        let find =
            |file: &str, id: u32| find_name(&fs::read_to_string(etc.join(file)).unwrap_or_default(), id);
        let name = if uid == 0 { None } else { find("passwd", uid) };
        let home = home_of(uid, name.as_deref());
        let name = name.unwrap_or_else(|| nameless(uid));
        let group = match gid {
            0 => "root".to_owned(),
            _ => find("group", gid).unwrap_or_else(|| name.clone()),
        };
        Self { name, home, uid, gid, group, others: Vec::new() }
    }
}

/// Where the home of a user is in a partition that makes it.
fn home_of(uid: u32, name: Option<&str>) -> PathBuf {
    match uid {
        0 => PathBuf::from("/root"),
        _ => Path::new("/home").join(name.unwrap_or("user")),
    }
}

fn nameless(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { "user".to_owned() }
}

impl Accounts {
    fn of(root: &Root, etc: &Path) -> Self {
        let place = |place: &str| place.to_owned();
        match root {
            Root::Host | Root::Nothing => {
                let text = |name: &str| fs::read_to_string(etc.join(name)).unwrap_or_default();
                let (passwd, group) = (text("passwd"), text("group"));
                Self { passwd, group, place: place("this host"), makes_homes: true }
            }
            Root::Directory(directory) => {
                let text = |name: &str| text_inside(directory, name).unwrap_or_default();
                let (passwd, group) = (text("etc/passwd"), text("etc/group"));
                Self { passwd, group, place: format!("'{}'", directory.display()), makes_homes: false }
            }
            Root::Image(image) => {
                let text = |name: &str| image.text(name, TABLE_LIMIT).unwrap_or_default();
                let (passwd, group) = (text("/etc/passwd"), text("/etc/group"));
                Self { passwd, group, place: format!("image '{}'", image.name()), makes_homes: false }
            }
        }
    }

    /// The account for `USER[:GROUP]`. Who names no group has those of the account.
    fn user(&self, wanted: &str) -> Result<User, Failure> {
        let (user, group) = wanted.split_once(':').unwrap_or((wanted, ""));
        let entry = account(&self.passwd, user, 2);
        let field = |at: usize| entry.as_ref().and_then(|entry| entry.get(at).copied());
        let number = |at: usize| field(at).and_then(|field| field.parse().ok()).filter(is_id);
        let uid = user.parse().ok().or_else(|| number(2)).filter(is_id);
        let uid: u32 = uid.ok_or_else(|| self.unknown("user", user, wanted))?;
        let name = field(0).filter(|name| is_plain(name));
        let (gid, others) = match group {
            "" => (number(3).unwrap_or(0), name.map(|name| self.groups_of(name)).unwrap_or_default()),
            _ => (self.group(group).ok_or_else(|| self.unknown("group", group, wanted))?.0, Vec::new()),
        };
        let home = if self.makes_homes {
            home_of(uid, name)
        } else {
            let default = if uid == 0 { "/root" } else { "/" };
            PathBuf::from(field(5).filter(|home| home.starts_with('/')).unwrap_or(default))
        };
        let name = name.map_or_else(|| nameless(uid), str::to_owned);
        let group = match gid {
            0 => "root".to_owned(),
            _ => find_name(&self.group, gid).unwrap_or_else(|| name.clone()),
        };
        Ok(User { name, home, uid, gid, group, others })
    }

    /// A group by its name, or its number whether it is known or not.
    fn group(&self, wanted: &str) -> Option<(u32, Option<String>)> {
        match wanted.parse::<u32>() {
            Ok(gid) => Some(gid).filter(is_id).map(|gid| (gid, find_name(&self.group, gid))),
            Err(_) => {
                let entry = account(&self.group, wanted, 2)?;
                let gid = entry.get(2)?.parse().ok().filter(is_id)?;
                Some((gid, Some(wanted.to_owned())))
            }
        }
    }

    /// Groups that list this name as a member.
    fn groups_of(&self, name: &str) -> Vec<(u32, Option<String>)> {
        let member = |line: &str| {
            let mut fields = line.split(':');
            let group = fields.next()?;
            let gid = fields.nth(1)?.parse().ok().filter(is_id)?;
            let is_member = fields.next()?.split(',').any(|member| member == name);
            is_member.then(|| (gid, Some(group.to_owned()).filter(|group| is_plain(group))))
        };
        self.group.lines().filter_map(member).collect()
    }

    fn unknown(&self, what: &str, name: &str, wanted: &str) -> Failure {
        let why = format!("{} has no {what} '{name}'", self.place);
        Failure::new(Code::Path, format!("cannot run the program as '{wanted}'"), why)
            .hint("give a number, or a name that is in its /etc/passwd or /etc/group, with --user")
    }
}

/// -1 means that nothing changes, in every call that takes an id.
fn is_id(id: &u32) -> bool {
    *id != u32::MAX
}

/// Whether a name can stand in a path and in a table.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// A file of a root, found as if that were `/`: its links do not lead out of it.
fn text_inside(root: &Path, path: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let directory = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let file: OwnedFd = openat2(&directory, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let file = fs::File::from(file);
    let mut bytes = Vec::new();
    file.metadata().ok().filter(fs::Metadata::is_file)?;
    file.take(TABLE_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The fields of the line of `passwd` or `group` with this number, if it is one, else this name.
fn account<'a>(table: &'a str, wanted: &str, number: usize) -> Option<Vec<&'a str>> {
    let at = if wanted.parse::<u32>().is_ok() { number } else { 0 };
    table.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line.get(at) == Some(&wanted))
}

/// The name of a numbered line of `passwd` or `group`, if it is one that can stand in a path.
fn find_name(table: &str, id: u32) -> Option<String> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id && is_plain(name)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        let table = "root:x:0:0:root:/root:/bin/bash\n../x:x:7:7::/:\nada:x:1000:1000:Ada,,,:/home/ada:/bin/zsh\nbad\n";
        assert_eq!(find_name(table, 1000).as_deref(), Some("ada"));
        assert_eq!(find_name(table, 7), None);
        assert_eq!(find_name(table, 8), None);
    }

    fn accounts(makes_homes: bool) -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nada:x:1000:100:Ada:/srv/ada:/bin/sh\n77:x:5:5::/:\nbad:x:-1:1::/:\nevil/x:x:9:9::relative:\n".into(),
            group: "root:x:0:\nusers:x:100:\ndialout:x:20:bob,ada\nvideo:x:44:ada\nadam:x:45:adam\n".into(),
            place: "here".into(),
            makes_homes,
        }
    }

    #[test]
    fn users_are_dockers() {
        let user = |wanted: &str| accounts(false).user(wanted).map_err(|failure| failure.to_string());
        let ada = user("ada").unwrap();
        assert_eq!((ada.uid, ada.gid, ada.home, ada.group), (1000, 100, "/srv/ada".into(), "users".into()));
        assert_eq!(ada.others, [(20, Some("dialout".into())), (44, Some("video".into()))]);
        assert_eq!(user("1000").unwrap().others.len(), 2);
        let with_group = user("ada:video").unwrap();
        assert_eq!((with_group.gid, with_group.others.len()), (44, 0));
        let nobody_known = user("4000000000:7").unwrap();
        assert_eq!((nobody_known.uid, nobody_known.gid, nobody_known.home), (4_000_000_000, 7, "/".into()));
        // Digits are a number, even where somebody is called that.
        assert_eq!(user("77").unwrap().uid, 77);
        assert_eq!(user("9").unwrap().home, Path::new("/"));
        assert_eq!(accounts(true).user("ada").unwrap().home, Path::new("/home/ada"));
        for (wanted, why) in [
            ("eve", "no user 'eve'"),
            ("bad", "no user 'bad'"),
            ("4294967295", "no user"),
            ("99999999999", "no user"),
            ("ada:none", "no group 'none'"),
            ("0:4294967295", "no group"),
        ] {
            assert!(user(wanted).is_err_and(|text| text.contains(why)), "{wanted}");
        }
    }
}
