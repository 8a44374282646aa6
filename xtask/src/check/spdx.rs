//! Licence expressions as crates state them: `MIT OR Apache-2.0`, `(MIT OR Apache-2.0) AND Unicode-3.0`.
//!
//! ```text
//!   any  := all ("OR" all)*          "/" is an old way to write OR
//!   all  := term ("AND" term)*
//!   term := "(" any ")" | NAME ["WITH" NAME]
//! ```

/// Whether a user of the crate can comply by accepting only licences for which `is_allowed` holds.
/// A malformed expression is not allowed.
pub fn permits(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, is_allowed };
    parser.any().is_some_and(|permitted| permitted && parser.words.is_empty())
}

struct Parser<'a> {
    words: &'a [&'a str],
    is_allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Option<bool> {
        let mut permitted = self.all()?;
        while self.accept("OR") {
            permitted |= self.all()?;
        }
        Some(permitted)
    }

    fn all(&mut self) -> Option<bool> {
        let mut permitted = self.term()?;
        while self.accept("AND") {
            permitted &= self.term()?;
        }
        Some(permitted)
    }

    fn term(&mut self) -> Option<bool> {
        if self.accept("(") {
            let permitted = self.any()?;
            return self.accept(")").then_some(permitted);
        }
        let name = self.next()?;
        if !self.accept("WITH") {
            return Some((self.is_allowed)(name));
        }
        let exception = self.next()?;
        Some((self.is_allowed)(&format!("{name} WITH {exception}")))
    }

    fn accept(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        is_next
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits_mit_and_exception(expression: &str) -> bool {
        permits(expression, &|name| ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].contains(&name))
    }

    #[test]
    fn alternatives_and_conjunctions() {
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "(MIT OR GPL-3.0) AND Apache-2.0",
        ] {
            assert!(permits_mit_and_exception(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "", "MIT OR", "(MIT", "MIT MIT", "MIT WITH"] {
            assert!(!permits_mit_and_exception(bad), "{bad}");
        }
    }
}
