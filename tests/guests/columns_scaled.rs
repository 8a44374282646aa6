// A library: divides each column by its standard deviation, in place, and returns the sum of the deviations.
// link: dynamic
// flags: --crate-type=cdylib

use std::slice;
use std::thread;

/// # Safety
///
/// `values` points to `rows * columns` numbers that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scale(values: *mut f64, rows: usize, columns: usize) -> f64 {
    // SAFETY: 1. the caller promises so many numbers, and 2. that they are its alone.
    let values = unsafe { slice::from_raw_parts_mut(values, rows * columns) };
    let shared = &*values;
    let deviation = |column: usize| {
        let numbers = || shared.iter().skip(column).step_by(columns);
        let mean = numbers().sum::<f64>() / rows as f64;
        (numbers().map(|value| (value - mean).powi(2)).sum::<f64>() / rows as f64).sqrt()
    };
    let deviations: Vec<f64> = thread::scope(|scope| {
        let deviation = &deviation;
        let threads: Vec<_> = (0..columns).map(|column| scope.spawn(move || deviation(column))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    values.chunks_mut(columns).for_each(|row| row.iter_mut().zip(&deviations).for_each(|(v, d)| *v /= d));
    deviations.iter().sum()
}
