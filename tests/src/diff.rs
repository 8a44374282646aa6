//! Comparing two runs byte for byte, and telling a person where they part.
//!
//! Output may be binary and long: the difference is shown as the few lines around the first one that differs, with
//! bytes that cannot be printed escaped.

use std::fmt::Write;

const LINES_BEFORE: usize = 3;
const LINES_AFTER: usize = 6;
const LONGEST_LINE: usize = 200;

/// Where and how `partition` differs from `native`, or nothing when they are equal.
pub fn difference(what: &str, native: &[u8], partition: &[u8]) -> Option<String> {
    if native == partition {
        return None;
    }
    let ours: Vec<&[u8]> = native.split(|byte| *byte == b'\n').collect();
    let theirs: Vec<&[u8]> = partition.split(|byte| *byte == b'\n').collect();
    let same = ours.iter().zip(&theirs).take_while(|(left, right)| left == right).count();
    let byte = native.iter().zip(partition).take_while(|(left, right)| left == right).count();
    let mut text = format!(
        "{what} differs at byte {byte}, line {} ({} bytes natively, {} in the partition)\n",
        same + 1,
        native.len(),
        partition.len()
    );
    for line in &ours[same.saturating_sub(LINES_BEFORE)..same] {
        let _ = writeln!(text, "    {}", printable(line));
    }
    for (sign, lines) in [("native   ", &ours), ("partition", &theirs)] {
        let shown = &lines[same.min(lines.len())..(same + LINES_AFTER).min(lines.len())];
        if shown.is_empty() {
            let _ = writeln!(text, "  {sign} | (nothing more)");
        }
        for line in shown {
            let _ = writeln!(text, "  {sign} | {}", printable(line));
        }
    }
    Some(text)
}

fn printable(line: &[u8]) -> String {
    let shown = &line[..line.len().min(LONGEST_LINE)];
    let text = shown.escape_ascii().to_string();
    if shown.len() < line.len() { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn equal_output_has_no_difference() {
        assert_eq!(difference("stdout", b"same\n", b"same\n"), None);
    }

    #[test]
    fn the_first_differing_line_is_shown_with_what_came_before() {
        let text = difference("stdout", b"one\ntwo\nthree\n", b"one\ntwo\n3\xff\n").expect("they differ");
        assert!(text.contains("line 3"), "{text}");
        assert!(text.contains("    two"), "{text}");
        assert!(text.contains("native    | three"), "{text}");
        assert!(text.contains("partition | 3\\xff"), "{text}");
    }

    #[test]
    fn output_that_ends_early_is_a_difference() {
        let text = difference("stdout", b"one\ntwo", b"one").expect("they differ");
        assert!(text.contains("(nothing more)"), "{text}");
    }
}
