//! Layers on each other, and paths that want out.

use super::*;

fn directory() -> Body {
    Body::Directory(BTreeMap::new())
}

impl Tree {
    fn file(&mut self, path: &str, number: u64) {
        self.insert(path.as_bytes(), Body::Regular(number), Attributes::plain()).unwrap();
    }

    fn symlink(&mut self, path: &str, target: &str) {
        self.insert(path.as_bytes(), Body::Symlink(target.into()), Attributes::plain()).unwrap();
    }

    /// All paths, with the number of contents or the target of a link.
    fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![(ROOT, String::new())];
        while let Some((id, path)) = waiting.pop() {
            match &self.node(id).body {
                Body::Directory(entries) => {
                    waiting.extend(entries.iter().map(|(name, entry)| {
                        (entry.id, format!("{path}/{}", String::from_utf8_lossy(name)))
                    }));
                    found.push(format!("{path}/"));
                }
                Body::Regular(number) => found.push(format!("{path}={number}")),
                Body::Symlink(target) => found.push(format!("{path}>{}", String::from_utf8_lossy(target))),
                _ => found.push(path),
            }
        }
        found.sort();
        found
    }
}

#[test]
fn a_layer_replaces_adds_and_hides() {
    let mut tree = Tree::new();
    tree.file("a/one", 1);
    tree.file("a/two", 2);
    tree.file("b/three", 3);
    tree.symlink("s", "a");
    tree.next_layer();
    tree.white_out(b"a/one").unwrap();
    tree.file("./b/three", 4);
    tree.file("/s/four", 5);
    tree.white_out(b"not/there").unwrap();
    assert_eq!(tree.paths(), ["/", "/a/", "/a/four=5", "/a/two=2", "/b/", "/b/three=4", "/s>a"]);
    assert_eq!(tree.count(), 7);
}

#[test]
fn whiteouts_hide_lower_layers_only_whatever_the_order() {
    let mut tree = Tree::new();
    tree.file("d/old", 1);
    tree.file("d/sub/old", 2);
    tree.file("x", 3);
    tree.next_layer();
    tree.file("d/new", 4);
    tree.file("d/sub/new", 5);
    tree.file("x", 6);
    tree.white_out(b"x").unwrap();
    tree.make_opaque(b"d").unwrap();
    assert_eq!(tree.paths(), ["/", "/d/", "/d/new=4", "/d/sub/", "/d/sub/new=5", "/x=6"]);
    tree.next_layer();
    tree.make_opaque(b"d").unwrap();
    tree.make_opaque(b"absent").unwrap();
    assert_eq!(tree.paths(), ["/", "/d/", "/x=6"]);
    tree.make_opaque(b"/").unwrap();
    assert_eq!(tree.paths(), ["/"]);
}

#[test]
fn directories_merge_and_other_kinds_replace() {
    let mut tree = Tree::new();
    tree.file("d/f", 1);
    tree.symlink("l", "d");
    tree.next_layer();
    tree.insert(b"d", directory(), Attributes { permissions: 0o700, ..Attributes::plain() }).unwrap();
    tree.insert(b"l", directory(), Attributes::plain()).unwrap();
    tree.file("l/g", 2);
    assert_eq!(tree.paths(), ["/", "/d/", "/d/f=1", "/l/", "/l/g=2"]);
    tree.file("d", 3);
    assert_eq!(tree.paths(), ["/", "/d=3", "/l/", "/l/g=2"]);
}

#[test]
fn nothing_leads_out() {
    let mut tree = Tree::new();
    tree.symlink("up", "../../../..");
    tree.symlink("abs", "/etc");
    tree.symlink("loop", "loop");
    tree.file("up/a", 1);
    tree.file("abs/passwd", 2);
    assert_eq!(
        tree.paths(),
        ["/", "/a=1", "/abs>/etc", "/etc/", "/etc/passwd=2", "/loop>loop", "/up>../../../.."]
    );
    let insert = |tree: &mut Tree, path: &[u8]| {
        tree.insert(path, Body::Fifo, Attributes::plain()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(insert(&mut tree, b"../x").contains("leads out"));
    assert!(insert(&mut tree, b"a/../../x").contains("leads out"));
    assert!(insert(&mut tree, b"loop/x").contains("too many symbolic links"));
    assert!(insert(&mut tree, b"a/x").contains("no directory"));
    assert!(insert(&mut tree, &[b'x'; 300]).contains("too long"));
    assert!(insert(&mut tree, &b"x/".repeat(4000)).contains("too long"));
    assert!(insert(&mut tree, b"x\0y").contains("NUL"));
    assert!(insert(&mut tree, b"/").contains("root"));
    let link = |tree: &mut Tree, target: &[u8]| tree.link(b"h", target).unwrap_err().to_string();
    assert!(link(&mut tree, b"../../etc/shadow").contains("leads out"));
    assert!(link(&mut tree, b"absent/file").contains("not there"));
    assert!(link(&mut tree, b"/").contains("not there"));
    assert!(link(&mut tree, b"etc").contains("to a directory"));
    tree.link(b"h", b"abs/passwd").unwrap();
    assert!(tree.paths().contains(&"/h=2".to_owned()));
}
