//! Who a further program is to run as, by the partition's own `/etc/passwd` and `/etc/group`, as Docker has it: a name there, or a number with
//! or without an account (`passwd(5)`, `group(5)`).

use crate::fs::context::FsContext;
use crate::fs::inode::{Access, FileKind};
use crate::io::KernelDestination;
use alloc::vec::Vec;
use septum_abi::linux::Errno;

/// Of files that say who is who no more than this is read.
const MOST: usize = 1 << 20;

/// A user with all that belongs to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// User and group.
    pub identity: (u32, u32),
    /// Supplementary groups, ascending.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: Vec<u8>,
}

/// The account for `USER[:GROUP]`, found in the files of a context that may read them; ESRCH if there is none of that name.
pub fn find(fs: &FsContext, wanted: &[u8]) -> Result<Account, Errno> {
    let text = |path: &[u8]| read(fs, path).unwrap_or_default();
    choose(&text(b"/etc/passwd"), &text(b"/etc/group"), wanted).ok_or(Errno::ESRCH)
}

fn read(fs: &FsContext, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let dentry = fs.resolve(&fs.root, path, true)?;
    if dentry.kind() != FileKind::Regular {
        return Err(Errno::EINVAL);
    }
    let file = dentry.inode().open(Access { read: true, write: false })?;
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while text.len() < MOST {
        match file.read_at(text.len() as u64, &mut KernelDestination(&mut piece))? {
            0 => break,
            count => text.extend_from_slice(&piece[..count]),
        }
    }
    Ok(text)
}

fn choose(passwd: &[u8], group: &[u8], wanted: &[u8]) -> Option<Account> {
    let mut parts = wanted.splitn(2, |&byte| byte == b':');
    let (user, of_group) = (parts.next()?, parts.next().filter(|name| !name.is_empty()));
    let entry = entry(passwd, user);
    let field = |at| entry.and_then(|line| fields(line).nth(at));
    let uid = number(user).or_else(|| field(2).and_then(number))?;
    let (gid, groups) = match of_group {
        None => (field(3).and_then(number).unwrap_or(0), field(0).map(|name| groups_of(group, name))),
        Some(name) => (number(name).or_else(|| number(fields(self::entry(group, name)?).nth(2)?))?, None),
    };
    let default: &[u8] = if uid == 0 { b"/root" } else { b"/" };
    let home = field(5).filter(|home| home.starts_with(b"/")).unwrap_or(default).to_vec();
    Some(Account { identity: (uid, gid), groups: groups.unwrap_or_default(), home })
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b':')
}

/// The line with this number if it is one, else this name.
fn entry<'a>(table: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let at = if number(wanted).is_some() { 2 } else { 0 };
    table.split(|&byte| byte == b'\n').find(|line| fields(line).nth(at) == Some(wanted))
}

/// The groups that list this name as a member.
fn groups_of(table: &[u8], name: &[u8]) -> Vec<u32> {
    let member = |line: &[u8]| {
        let members = fields(line).nth(3)?;
        let gid = fields(line).nth(2).and_then(number)?;
        members.split(|&byte| byte == b',').any(|member| member == name).then_some(gid)
    };
    let mut groups: Vec<u32> = table.split(|&byte| byte == b'\n').filter_map(member).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// -1 means that nothing changes, in every call that takes an id.
fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok().filter(|&id| id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\nada:x:1000:100:Ada:/srv/ada:/bin/sh\nbad:x:-1:1::/:\nodd:x:9:9::here:\n\n::";
    const GROUP: &[u8] =
        b"root:x:0:\nvideo:x:44:ada\nusers:x:100:\ndialout:x:20:bob,ada\nadam:x:45:adam\nshort\n";

    #[test]
    fn a_name_a_number_a_group() {
        let of = |wanted: &[u8]| choose(PASSWD, GROUP, wanted);
        let ada = Account { identity: (1000, 100), groups: [20, 44].into(), home: b"/srv/ada".into() };
        assert_eq!(of(b"1000").as_ref(), Some(&ada));
        assert_eq!(of(b"ada"), Some(ada));
        let with_group = of(b"ada:video").unwrap();
        assert_eq!((with_group.identity, with_group.groups.len()), ((1000, 44), 0));
        assert_eq!(of(b"ada:").unwrap().identity, (1000, 100));
        let nobody_known = Account { identity: (77, 5), groups: Vec::new(), home: b"/".into() };
        assert_eq!(of(b"77:5"), Some(nobody_known));
        assert_eq!(of(b"0").unwrap().home, b"/root");
        assert_eq!(of(b"odd").unwrap().home, b"/");
        for wanted in [
            &b"eve"[..],
            b"bad",
            b"4294967295",
            b"99999999999",
            b"ada:none",
            b"0:4294967295",
            b"",
            b":",
            b"\xff",
        ] {
            assert_eq!(of(wanted), None, "{wanted:?}");
        }
    }
}
