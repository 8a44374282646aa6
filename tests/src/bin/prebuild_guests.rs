//! Compiles every guest program in every way it is linked, so that the tests find all of them in the cache.

use septum_tests::{Guest, compile};

fn main() {
    let mut count = 0;
    for guest in Guest::all() {
        for link in &guest.links {
            guest.executable(*link);
            count += 1;
        }
    }
    println!("{count} guest programs in {}", compile::folder().display());
}
