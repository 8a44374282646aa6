// Rust's panics: caught, passing through destructors, and leaving with status 101.
use std::panic;

struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        println!("dropped {}", self.0);
    }
}

fn dive(depth: u32) -> u32 {
    assert!(depth < 20, "too deep: {depth}");
    let _guard = Noisy(if depth % 10 == 0 { "tenth" } else { "other" });
    dive(depth + 1) + 1
}

fn main() {
    // The usual message names the thread's number, which is never the same twice.
    panic::set_hook(Box::new(|info| eprintln!("panic: {}", info.payload_as_str().unwrap_or("?"))));
    let result = panic::catch_unwind(|| dive(0));
    println!("caught: {}", result.unwrap_err().downcast_ref::<String>().unwrap());
    let index = std::env::args().count() + 10;
    let result = panic::catch_unwind(|| [1, 2, 3][index]);
    println!("caught: {}", result.is_err());
    let divisor = std::env::args().count() - std::env::args().len();
    println!("caught: {}", panic::catch_unwind(|| 1 / divisor).is_err());
    let _guard = Noisy("main's own");
    if std::env::args().nth(1).as_deref() == Some("abort") {
        std::process::abort();
    }
    if std::env::args().nth(1).as_deref() == Some("exit") {
        std::process::exit(7);
    }
    let nothing: Option<u32> = None;
    println!("{}", nothing.expect("there must be something"));
}
