//! "Did you mean …": of the names that there are, the one that was probably meant.

/// Longer ones are nobody's slip, and would take long to compare.
const LONGEST: usize = 128;

/// The known name that is nearest to what was typed, if it is near enough to be a slip: a letter in three is wrong, left out, too many or
/// at its neighbour's place, or only the beginning was typed.
pub fn nearest<S: AsRef<str>>(typed: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    if typed.len() > LONGEST {
        return None;
    }
    let small = typed.to_lowercase();
    let length = small.chars().count();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let longest = length.max(name.chars().count());
        let apart = if name.len() > LONGEST { usize::MAX } else { strsim::osa_distance(&small, &name) };
        let is_begun = length >= 3 && name.starts_with(&small);
        match apart <= (longest + 1) / 3 && apart < length {
            true => Some(apart),
            // Worse than any slip.
            false if is_begun => Some(LONGEST),
            false => None,
        }
    };
    let near =
        known.into_iter().filter_map(|name| Some((distance(name.as_ref())?, name.as_ref().to_owned())));
    near.min().map(|(_, name)| name)
}

/// A hint: what was probably meant, if anything, and what to do in any case.
pub fn did_you_mean<S: AsRef<str>>(
    typed: &str,
    known: impl IntoIterator<Item = S>,
    otherwise: &str,
) -> String {
    match nearest(typed, known) {
        Some(name) => format!("did you mean '{name}'? {otherwise}"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        let known = ["database", "web", "worker-1", "worker-2", "x"];
        for (typed, meant) in [
            ("databse", Some("database")),
            ("dtaabase", Some("database")),
            ("DATABASE", Some("database")),
            ("data", Some("database")),
            ("wbe", Some("web")),
            ("worker1", Some("worker-1")),
            ("worker-3", Some("worker-1")),
            ("cache", None),
            ("we", Some("web")),
            ("wa", None),
            ("y", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn what_nobody_types_is_not_compared() {
        assert_eq!(nearest(&"a".repeat(100_000), ["a"]), None);
        assert_eq!(nearest("aaaa", ["a".repeat(100_000)]).map(|it| it.len()), Some(100_000));
        assert_eq!(nearest("abc", Vec::<String>::new()), None);
    }

    #[test]
    fn hints_go_on_where_nothing_is_near() {
        assert_eq!(
            did_you_mean("wbe", ["web"], "'septum ps' lists all"),
            "did you mean 'web'? 'septum ps' lists all"
        );
        assert_eq!(did_you_mean("cache", ["web"], "'septum ps' lists all"), "'septum ps' lists all");
    }
}
