// Rust's files and directories.
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

fn main() -> io::Result<()> {
    if let Ok(directory) = std::env::var("STORY_DIRECTORY") {
        fs::create_dir(&directory)?;
        std::env::set_current_dir(&directory)?;
    }
    fs::create_dir_all("deep/er/still")?;
    fs::write("deep/er/still/file", "some text\nin two lines\n")?;
    println!("{:?}", fs::read_to_string("deep/er/still/file")?);
    {
        let mut writer = BufWriter::new(File::create("numbers")?);
        for number in 0..10_000 {
            writeln!(writer, "{number}")?;
        }
    }
    let sum: u64 = BufReader::new(File::open("numbers")?).lines().map(|line| line.unwrap().parse::<u64>().unwrap()).sum();
    println!("sum {sum}, size {}", fs::metadata("numbers")?.len());
    let mut file = OpenOptions::new().read(true).write(true).open("numbers")?;
    file.seek(SeekFrom::Start(10))?;
    file.write_all(b"XX")?;
    file.seek(SeekFrom::Current(-4))?;
    let mut piece = [0; 6];
    file.read_exact(&mut piece)?;
    println!("{:?}", String::from_utf8_lossy(&piece));
    file.set_len(20)?;
    println!("{}", fs::read_to_string("numbers")?.escape_debug());
    println!("{}", fs::copy("numbers", "copy")?);
    fs::set_permissions("copy", fs::Permissions::from_mode(0o640))?;
    println!("{:o}", fs::metadata("copy")?.permissions().mode());
    fs::rename("copy", "deep/copy")?;
    fs::hard_link("deep/copy", "hard")?;
    std::os::unix::fs::symlink("hard", "soft")?;
    println!("{:?} {}", fs::read_link("soft")?, fs::symlink_metadata("soft")?.is_symlink());
    let mut names: Vec<_> = fs::read_dir(".")?
        .map(|entry| entry.map(|entry| (entry.file_name(), entry.file_type().unwrap().is_dir())))
        .collect::<Result<_, _>>()?;
    names.sort();
    names.retain(|(name, _)| name != "files");
    println!("{names:?}");
    for path in ["absent", "deep", "numbers/x"] {
        println!("{path}: {:?}", fs::read(path).map_err(|error| error.kind()));
    }
    println!("{:?}", fs::remove_dir("deep").map_err(|error| error.kind()));
    fs::remove_dir_all("deep")?;
    fs::remove_file("soft")?;
    println!("{} {}", fs::exists("deep")?, fs::exists("hard")?);
    println!("{:?}", fs::canonicalize("hard")?.file_name());
    Ok(())
}
