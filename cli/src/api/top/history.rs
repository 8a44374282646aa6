//! What was used before, for a line that shows it.

use std::collections::VecDeque;

/// How many readings are remembered of each partition.
const LENGTH: usize = 240;

/// The latest values of something.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<f32>);

impl History {
    /// The newest.
    #[allow(clippy::cast_possible_truncation, reason = "a line of eight heights shows it")]
    pub fn push(&mut self, value: f64) {
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(value as f32);
    }

    /// The newest `width` as a line, the newest at its end, and the largest of them.
    pub fn line(&self, width: usize, heights: &[char]) -> (String, f64) {
        let skipped = self.0.len().saturating_sub(width);
        let shown = || self.0.iter().skip(skipped);
        let most = shown().fold(0.0, |most: f32, value| most.max(*value));
        let text: String = shown().map(|value| height(f64::from(*value), f64::from(most), heights)).collect();
        (format!("{text:>width$}"), f64::from(most))
    }
}

/// The character for a value of at most `most`: nothing is the first, anything at least the second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of heights"
)]
pub fn height(value: f64, most: f64, heights: &[char]) -> char {
    let steps = heights.len().saturating_sub(1);
    let step = if most > 0.0 && value > 0.0 { (value / most * usize_f64(steps)).ceil() as usize } else { 0 };
    heights.get(step.min(steps)).copied().unwrap_or(' ')
}

#[allow(clippy::cast_precision_loss, reason = "a few")]
fn usize_f64(value: usize) -> f64 {
    value as f64
}

/// Heights where the terminal has Unicode, and where not.
pub const BLOCKS: &[char] = &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// See [`BLOCKS`].
pub const LETTERS: &[char] = &[' ', '.', ':', '-', '=', '+', '*', '#'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_high_as_its_highest() {
        let mut history = History::default();
        for value in [1e9, 0.0, 0.01, 4.0, 8.0] {
            history.push(value);
        }
        assert_eq!(history.line(4, BLOCKS), (" ▁▄█".to_owned(), 8.0));
        assert_eq!(history.line(7, LETTERS).0, "  # ...");
        assert_eq!(History::default().line(2, BLOCKS), ("  ".to_owned(), 0.0));
        assert_eq!(history.line(0, BLOCKS), (String::new(), 0.0));
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            history.push(value);
            history.line(9, BLOCKS);
        }
        for _ in 0..1000 {
            history.push(1.0);
        }
        assert_eq!(history.line(1000, BLOCKS).0.trim().chars().count(), LENGTH);
    }
}
