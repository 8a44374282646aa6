// What a Rust program knows of its surroundings: arguments, variables, directory, time.
use std::env;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

fn check(what: &str, is_true: bool) {
    println!("{} {what}", if is_true { "ok" } else { "FAIL" });
}

fn main() {
    println!("{:?}", env::args().skip(1).collect::<Vec<_>>());
    println!("{:?} {:?}", env::var("STORY_MARK"), env::var("STORY_ABSENT"));
    println!("{:?}", env::current_dir().map(|path| path.is_absolute()));
    check("the program has a path", env::current_exe().is_ok_and(|path| path.ends_with("surroundings")));
    println!("{:?}", env::temp_dir());
    let start = Instant::now();
    thread::sleep(Duration::from_millis(20));
    check("sleeping takes time", start.elapsed() >= Duration::from_millis(20));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    check("the date is plausible", since.as_secs() > 1_700_000_000);
    check("some processors", thread::available_parallelism().is_ok_and(|count| count.get() >= 1));
    println!("{} {}", std::process::id() > 0, env::consts::OS);
    std::process::exit(5);
}
