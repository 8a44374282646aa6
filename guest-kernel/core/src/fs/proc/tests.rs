use super::facts::{Census, Mapping, Usage};
use super::*;
use crate::fs::anonymous;
use crate::fs::context::FsContext;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::open::OpenFlags;
use crate::fs::ramfs::RamFs;
use crate::io::KernelDestination;
use alloc::string::{String, ToString};
use septum_guest_hal::sync::Mutex;

/// A process and the system it is alone in.
struct World {
    namespace: Arc<Namespace>,
    descriptors: Mutex<DescriptorTable>,
    context: FsContext,
    executable: Arc<Dentry>,
}

struct Whole(Arc<World>);

impl ProcessInfo for World {
    fn pid(&self) -> u32 {
        42
    }
    fn name(&self) -> Vec<u8> {
        b"program".to_vec()
    }
    fn executable(&self) -> Option<Arc<Dentry>> {
        Some(Arc::clone(&self.executable))
    }
    fn arguments(&self) -> Vec<u8> {
        b"program\0--flag\0".to_vec()
    }
    fn environment(&self) -> Vec<u8> {
        b"A=1\0".to_vec()
    }
    fn auxiliary(&self) -> Vec<u8> {
        alloc::vec![0; 16]
    }
    fn descriptors(&self) -> &Mutex<DescriptorTable> {
        &self.descriptors
    }
    fn fs(&self) -> FsContext {
        self.context.clone()
    }
    fn mappings(&self, each: &mut dyn FnMut(&Mapping<'_>)) {
        let mapping = Mapping {
            start: 0x40_0000,
            end: 0x40_1000,
            read: true,
            write: false,
            execute: true,
            is_shared: false,
            offset: 0x1000,
            file: Some(&self.executable),
            label: "",
            is_locked: false,
            census: &|| Census { present: 1, own: 0, large: 0 },
        };
        each(&mapping);
        each(&Mapping { file: None, label: "[heap]", write: true, execute: false, ..mapping });
    }
    fn usage(&self) -> Usage {
        Usage { virtual_bytes: 1 << 20, resident_bytes: 8192, ..Usage::default() }
    }
    fn limits(&self) -> [(u64, u64); 16] {
        [(u64::MAX, 1024); 16]
    }
}

impl System for Whole {
    fn current(&self) -> Option<Arc<dyn ProcessInfo>> {
        Some(Arc::<World>::clone(&self.0) as Arc<dyn ProcessInfo>)
    }
    fn current_thread(&self) -> u32 {
        42
    }
    fn pids(&self) -> Vec<u32> {
        alloc::vec![42]
    }
    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessInfo>> {
        if pid == 42 { self.current() } else { None }
    }
    fn namespace(&self) -> Arc<Namespace> {
        Arc::clone(&self.0.namespace)
    }
    fn hostname(&self) -> Vec<u8> {
        b"septum".to_vec()
    }
    fn release(&self) -> &str {
        "6.1.0"
    }
    fn version(&self) -> &str {
        "#1"
    }
    fn cpus(&self) -> u32 {
        2
    }
}

fn world() -> Arc<World> {
    let options = |file_system| MountOptions::plain(b"none", file_system);
    let namespace = Namespace::new(RamFs::new().root(), options("tmpfs"));
    let context = FsContext::new(Arc::clone(namespace.root()));
    context.make_directories(b"/bin", 0o755).unwrap();
    context.open(&context.root, b"/bin/program", OpenFlags::CREATE, 0o755).unwrap();
    let executable = context.resolve(&context.root, b"/bin/program", true).unwrap();
    let place = context.make_directories(b"/proc", 0o755).unwrap();
    let world = Arc::new(World {
        namespace: Arc::clone(&namespace),
        descriptors: Mutex::new(DescriptorTable::new(64)),
        context,
        executable,
    });
    let proc = file_system(Arc::new(Whole(Arc::clone(&world))));
    namespace.mount(&place, proc, options("proc")).unwrap();
    world
}

impl World {
    fn read(&self, path: &str) -> Result<String, Errno> {
        let file = self.context.open(&self.context.root, path.as_bytes(), OpenFlags::empty(), 0)?;
        let mut bytes = alloc::vec![0; 10_000];
        let len = file.read(&mut KernelDestination(&mut bytes))?;
        Ok(String::from_utf8_lossy(&bytes[..len]).to_string())
    }

    fn link(&self, path: &str) -> Result<String, Errno> {
        let dentry = self.context.resolve(&self.context.root, path.as_bytes(), false)?;
        Ok(String::from_utf8_lossy(&dentry.inode().read_link()?).to_string())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let open = self.context.open(&self.context.root, path.as_bytes(), OpenFlags::DIRECTORY, 0).unwrap();
        let mut names = Vec::new();
        open.file()
            .read_directory(0, &mut |entry| {
                names.push(String::from_utf8_lossy(entry.name).to_string());
                true
            })
            .unwrap();
        names
    }
}

#[test]
fn every_file_can_be_found_and_read() {
    let world = world();
    let mut directories = alloc::vec![String::from("/proc")];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for name in world.list(&directory) {
            let path = format!("{directory}/{name}");
            let dentry = world.context.resolve(&world.context.root, path.as_bytes(), false).unwrap();
            match dentry.kind() {
                FileKind::Directory => directories.push(path),
                FileKind::Symlink => drop(world.link(&path).unwrap()),
                _ => {
                    world.read(&path).unwrap();
                    files += 1;
                }
            }
        }
    }
    assert!(files > 40, "{files}");
}

#[test]
fn inode_numbers_are_unique() {
    let world = world();
    let mut directories = alloc::vec![String::from("/proc")];
    let mut numbers = Vec::new();
    while let Some(directory) = directories.pop() {
        for name in world.list(&directory) {
            let path = format!("{directory}/{name}");
            let dentry = world.context.resolve(&world.context.root, path.as_bytes(), false).unwrap();
            // A thread shows the files of its process.
            if dentry.is_directory() && directory != "/proc/42/task" {
                directories.push(path);
            }
            numbers.push(dentry.metadata().unwrap().inode);
        }
    }
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
}

#[test]
fn a_process_sees_itself() {
    let world = world();
    assert_eq!(world.link("/proc/self").unwrap(), "42");
    assert_eq!(world.link("/proc/self/exe").unwrap(), "/bin/program");
    assert_eq!(world.link("/proc/self/cwd").unwrap(), "/");
    assert_eq!(world.read("/proc/self/cmdline").unwrap(), "program\0--flag\0");
    assert_eq!(world.read("/proc/thread-self/comm").unwrap(), "program\n");
    assert_eq!(world.read("/proc/43/comm"), Err(Errno::ENOENT));
    let maps = world.read("/proc/self/maps").unwrap();
    let mut lines = maps.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("00400000-00401000 r-xp 00001000 "), "{first}");
    assert_eq!(first.find("/bin/program"), Some(73));
    assert_eq!(lines.next().unwrap().find("[heap]"), Some(73));
    assert_eq!(world.read("/proc/self/stat").unwrap().split(' ').count(), 52);
    assert!(world.read("/proc/mounts").unwrap().contains("none /proc proc rw,relatime 0 0\n"));
    assert!(world.read("/proc/self/mountinfo").unwrap().contains(" / /proc rw,relatime - proc none rw\n"));
}

#[test]
fn descriptors_come_and_go() {
    let world = world();
    assert_eq!(world.list("/proc/self/fd"), Vec::<String>::new());
    let (reader, _writer) = anonymous::open_pipe(OpenFlags::empty());
    let file = world.context.open(&world.context.root, b"/bin/program", OpenFlags::empty(), 0).unwrap();
    world.descriptors.lock().insert(reader, false, 0).unwrap();
    world.descriptors.lock().insert(file, false, 0).unwrap();
    assert_eq!(world.list("/proc/self/fd"), ["0", "1"]);
    assert!(world.link("/proc/self/fd/0").unwrap().starts_with("pipe:["));
    assert_eq!(world.link("/proc/self/fd/1").unwrap(), "/bin/program");
    assert_eq!(world.read("/proc/self/fd/1").unwrap(), "");
    assert!(world.read("/proc/self/fdinfo/1").unwrap().starts_with("pos:\t0\nflags:\t0"));
    world.context.unlink(&world.context.root, b"/bin/program").unwrap();
    assert_eq!(world.link("/proc/self/fd/1").unwrap(), "/bin/program (deleted)");
    assert_eq!(world.read("/proc/self/fd/1").unwrap(), "");
    drop(world.descriptors.lock().remove(1));
    assert_eq!(world.link("/proc/self/fd/1"), Err(Errno::ENOENT));
}

#[test]
fn the_system_describes_itself() {
    let world = world();
    assert_eq!(world.read("/proc/sys/kernel/hostname").unwrap(), "septum\n");
    assert_eq!(world.read("/proc/version").unwrap(), "Linux version 6.1.0 (septum) #1\n");
    assert_eq!(world.read("/proc/cpuinfo").unwrap().matches("processor\t:").count(), 2);
    assert!(world.read("/proc/meminfo").unwrap().starts_with("MemTotal:"));
    let uuid = world.read("/proc/sys/kernel/random/uuid").unwrap();
    assert_eq!((uuid.len(), uuid.as_bytes()[14]), (37, b'4'));
    assert_ne!(uuid, world.read("/proc/sys/kernel/random/uuid").unwrap());
    let boot = world.read("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(boot, world.read("/proc/sys/kernel/random/boot_id").unwrap());
    let root = &world.context.root;
    let write = world.context.open(root, b"/proc/version", OpenFlags::WRITE_ONLY, 0);
    assert_eq!(write.err(), Some(Errno::EACCES));
    assert_eq!(world.context.unlink(root, b"/proc/version"), Err(Errno::EPERM));
}
