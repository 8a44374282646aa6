//! The text of a file of specs, in TOML or YAML: values out of it, and where in it something is.
//!
//! Both parsers tell the place of what they refuse, and `serde_path_to_error` the field. Where a field is that is refused later, by others, is
//! found by the same means: it is deserialized once more, by a [`Probe`] that refuses exactly that field.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

/// In which language a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// TOML.
    Toml,
    /// YAML, of which JSON is a part.
    Yaml,
}

impl Language {
    /// By the ending of a file's name.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" | "json" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// By the first line that says something: `key =` and `[table]` are TOML.
    pub fn of_text(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let first =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).find(|line| *line != "---");
        let line = first.unwrap_or_default();
        let before_equals = line.split_once('=').map(|(before, _)| before);
        let is_table = line.starts_with('[') && line.ends_with(']') && !line.contains(['{', ',', '"', ':']);
        if is_table || before_equals.is_some_and(|before| !before.contains([':', '{'])) {
            Self::Toml
        } else {
            Self::Yaml
        }
    }
}

/// A step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Of a table.
    Key(String),
    /// Of a list, from 0.
    Index(usize),
}

/// The way to a field, as people write it: `network.allow[0]`.
pub fn written(path: &[Step]) -> String {
    path.iter().fold(String::new(), |text, step| match step {
        Step::Key(key) if text.is_empty() => key.clone(),
        Step::Key(key) => format!("{text}.{key}"),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    /// The field, or nothing.
    pub field: String,
    /// What is the matter.
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(out, "line {line}, column {column}: ")?;
        }
        if self.field.is_empty() {
            out.write_str(&self.why)
        } else {
            write!(out, "field '{}': {}", self.field, self.why)
        }
    }
}

/// A text in a language.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its language.
    pub language: Language,
    /// It.
    pub text: String,
}

impl Source {
    /// Gets something out of it.
    ///
    /// # Errors
    /// It is not in its language, or not what is sought.
    pub fn read<'de, S: DeserializeSeed<'de>>(&'de self, seed: S) -> Result<S::Value, Fault> {
        let mut track = Track::new();
        let (place, why) = match self.language {
            Language::Toml => {
                let read = toml::Deserializer::parse(&self.text).and_then(|inner| {
                    seed.deserialize(serde_path_to_error::Deserializer::new(inner, &mut track))
                });
                match read {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        (error.span().map(|span| self.place(span.start)), error.message().to_owned())
                    }
                }
            }
            Language::Yaml => {
                let options = serde_saphyr::options! { with_snippet: false };
                let read =
                    serde_saphyr::with_deserializer_from_str_with_options(&self.text, options, |inner| {
                        seed.deserialize(serde_path_to_error::Deserializer::new(inner, &mut track))
                    });
                match read {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        let number = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
                        let place = error.location().map(|at| (number(at.line()), number(at.column())));
                        (place, of_yaml(&error.to_string()))
                    }
                }
            }
        };
        let path = track.path().to_string();
        let field =
            if matches!(path.as_str(), "." | "?") { "" } else { path.trim_end_matches(".?") }.to_owned();
        Err(Fault { place, field, why })
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// Where a field is: line and column; of the nearest one around it, if it is not there.
    pub fn find(&self, path: &[Step]) -> Option<(usize, usize)> {
        let whole = (0..=path.len()).rev().find_map(|length| self.read(Probe(path.get(..length)?)).err());
        whole.and_then(|fault| fault.place)
    }
}

/// The place is told elsewhere, and the program's own functions are nobody's business.
fn of_yaml(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(before, _)| before);
    let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or(text);
    match text {
        "invalid u32" | "invalid u16" => "it is no number, or not one that it may be".to_owned(),
        _ if text.starts_with("multiple YAML documents") => {
            "there are several documents; list their partitions in one, below 'partitions'".to_owned()
        }
        _ => text.to_owned(),
    }
}

/// Refuses one field, and so is told where it is.
struct Probe<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        // Once the value is looked at, its own place is known, and not only that of what it is in.
        inner.deserialize_any(self)
    }
}

impl Probe<'_> {
    fn refuse<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom("here")) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a table or a list")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.refuse()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.refuse()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.refuse()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.refuse()?;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Step::Key(wanted), rest @ ..] if *wanted == key => map.next_value_seed(Probe(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.refuse()?;
        let [Step::Index(wanted), rest @ ..] = self.0 else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        for _ in 0..*wanted {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        list.next_element_seed(Probe(rest))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = "# two\n[[partitions]]\nname = 'a'\n[[partitions]]\nname = 'b'\n  memory = 'lots'\nnetwork.allow = ['x',\n 'y']\n";
    const YAML: &str = "partitions:\n  - name: a\n  - name: b\n    memory: lots\n    network:\n      allow: [x,\n        y]\n";

    fn step(text: &str) -> Step {
        text.parse().map_or_else(|_| Step::Key(text.to_owned()), Step::Index)
    }

    fn find(language: Language, text: &str, path: &str) -> Option<(usize, usize)> {
        let path: Vec<Step> = path.split(' ').map(step).collect();
        Source { language, text: text.to_owned() }.find(&path)
    }

    #[test]
    fn fields_are_found_in_both_languages() {
        assert_eq!(find(Language::Toml, TOML, "partitions 1 memory"), Some((6, 12)));
        assert_eq!(find(Language::Yaml, YAML, "partitions 1 memory"), Some((4, 13)));
        assert_eq!(find(Language::Toml, TOML, "partitions 1 network allow 1"), Some((8, 2)));
        assert_eq!(find(Language::Yaml, YAML, "partitions 1 network allow 1"), Some((7, 9)));
        // What is not there is told of what is around it.
        assert_eq!(find(Language::Toml, TOML, "partitions 0 memory").map(|it| it.0), Some(2));
        assert_eq!(find(Language::Yaml, YAML, "partitions 1 cpus").map(|it| it.0), Some(3));
    }

    #[test]
    fn the_first_line_tells_the_language() {
        for text in ["name = 'x'", "# a\n\n[[partitions]]", "[network]", "network.allow=['x:1']"] {
            assert_eq!(Language::of_text(text), Language::Toml, "{text}");
        }
        for text in
            ["name: x", "---\npartitions:\n- env: [A=b]", "{\"name\": \"x=y\"}", "[{}]", "env: [A=1]", ""]
        {
            assert_eq!(Language::of_text(text), Language::Yaml, "{text}");
        }
        assert_eq!(Language::of_name("a.b.toml"), Some(Language::Toml));
        assert_eq!(Language::of_name("toml"), None);
    }
}
