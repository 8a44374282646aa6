//! Files of specs: what partitions they want.
//!
//! ```text
//!   one partition:  its fields at the top        several:  a list 'partitions' at the top
//! ```

use std::io::Read as _;
use std::marker::PhantomData;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::v1::{APPLIED, CreatePartition};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::checks;
use super::source::{Fault, Language, Source, Step, written};
use crate::nearest::did_you_mean;

/// Bytes of the longest file.
const LONGEST: u64 = 8 << 20;

/// A partition that a file wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What makes it, with the label that tells that it was applied.
    pub spec: CreatePartition,
    /// Its name.
    pub name: String,
    /// The file, for people.
    pub file: String,
    source: std::rc::Rc<Source>,
    way: Vec<Step>,
}

impl Wanted {
    /// Where one of its fields is, for people: `web.toml:3:5`.
    pub fn place(&self, field: &str) -> String {
        let path: Vec<Step> = self.way.iter().cloned().chain(checks::steps(field)).collect();
        match self.source.find(&path) {
            Some((line, column)) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    partitions: Vec<CreatePartition>,
}

/// Only whether there is a list.
#[derive(Deserialize)]
struct Form {
    partitions: Option<IgnoredAny>,
}

/// What all files want, each name once.
///
/// # Errors
/// A file cannot be read, or is wrong.
pub fn read_all(files: &[String]) -> Result<Vec<Wanted>, Failure> {
    let mut all: Vec<Wanted> = Vec::new();
    for file in files {
        for wanted in read(file)? {
            if let Some(other) = all.iter().find(|it| it.name == wanted.name) {
                let why = format!(
                    "{}: '{}' is wanted by {} as well",
                    wanted.place("name"),
                    wanted.name,
                    other.place("name")
                );
                let failure = Failure::new(Code::Usage, "cannot use the specs", why);
                return Err(failure.hint("give each partition a name of its own"));
            }
            all.push(wanted);
        }
    }
    Ok(all)
}

fn read(file: &str) -> Result<Vec<Wanted>, Failure> {
    let what = format!(
        "cannot read {}",
        if file == "-" { "standard input".to_owned() } else { format!("'{file}'") }
    );
    let refused = |code, why: String| Failure::new(code, what.clone(), why);
    let mut text = Vec::new();
    let got = if file == "-" {
        std::io::stdin().take(LONGEST + 1).read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LONGEST + 1).read_to_end(&mut text))
    };
    got.map_err(|error| {
        refused(Code::Path, error.to_string()).hint("give a file that there is, or - for standard input")
    })?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(refused(Code::Usage, format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    let text = String::from_utf8(text).map_err(|_| refused(Code::Usage, "it is no UTF-8".to_owned()))?;
    let language = if file == "-" { Some(Language::of_text(&text)) } else { Language::of_name(file) };
    let Some(language) = language else {
        let failure = refused(Code::Usage, "its name does not tell in which language it is".to_owned());
        return Err(failure.hint("call it .toml, .yaml or .json, or give it as -f - < FILE"));
    };
    let source = std::rc::Rc::new(Source { language, text });
    let (specs, list) = parse(&source).map_err(|fault| explained(&what, fault))?;
    let mut all = Vec::new();
    for (index, mut spec) in specs.into_iter().enumerate() {
        let way =
            if list { vec![Step::Key("partitions".to_owned()), Step::Index(index)] } else { Vec::new() };
        if let Some((field, why)) = checks::wrong(&spec) {
            let path = [way.as_slice(), &field].concat();
            let fault = Fault { place: source.find(&path), field: written(&path), why };
            return Err(explained(&what, fault));
        }
        spec.labels.insert(APPLIED.to_owned(), String::new());
        let name = spec.name.clone().unwrap_or_default();
        let file = if file == "-" { "standard input" } else { file }.to_owned();
        all.push(Wanted { spec, name, file, source: source.clone(), way });
    }
    Ok(all)
}

/// The specs, and whether they are in a list.
fn parse(source: &Source) -> Result<(Vec<CreatePartition>, bool), Fault> {
    if source.read(PhantomData::<Form>)?.partitions.is_some() {
        return Ok((source.read(PhantomData::<Several>)?.partitions, true));
    }
    Ok((vec![source.read(PhantomData::<CreatePartition>)?], false))
}

/// A fault for people, with what may have been meant.
fn explained(what: &str, fault: Fault) -> Failure {
    let usual = "docs/apply.md describes the fields";
    let unknown = fault.why.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, expected "));
    let Some((name, known)) = unknown else {
        return Failure::new(Code::Usage, what, fault.to_string()).hint(usual);
    };
    let known = known.trim_start_matches("one of ").replace(" or ", ", ");
    let known = known.split(", ").map(|it| it.trim_matches('`'));
    let hint = did_you_mean(name, known, usual);
    let why = Fault { why: "there is no such field".to_owned(), ..fault.clone() };
    Failure::new(Code::Usage, what, why.to_string()).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(path.to_str().unwrap()).unwrap_err().to_string()
    }

    fn names(name: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(path.to_str().unwrap()).unwrap().into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn one_and_several() {
        assert_eq!(names("a.toml", "name = 'a'\ncommand = ['true']"), ["a"]);
        assert_eq!(names("a.yaml", "name: a\ncommand: ['true']"), ["a"]);
        assert_eq!(
            names(
                "a.json",
                r#"{"partitions": [{"name": "a", "command": ["x"]}, {"name": "b", "image": "i"}]}"#
            ),
            ["a", "b"]
        );
        assert_eq!(
            names(
                "a.toml",
                "[[partitions]]\nname = 'a'\nimage = 'i'\n[[partitions]]\nname = 'b'\nimage = 'i'"
            ),
            ["a", "b"]
        );
        assert!(names("a.yaml", "partitions: []").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_line_column_and_field() {
        let cases = [
            (
                "a.toml",
                "name = 'a'\nmemry = '1G'",
                "line 2, column 1: field 'memry': there is no such field\nhint: did you mean 'memory'?",
            ),
            (
                "a.yaml",
                "name: a\nmemry: 1G",
                "line 2, column 1: field 'memry': there is no such field\nhint: did you mean 'memory'?",
            ),
            (
                "a.yaml",
                "partitions:\n - name: a\n   network:\n     alow: [x]",
                "line 4, column 6: field 'partitions[0].network.alow': there is no such field\nhint: did you mean 'allow'?",
            ),
            (
                "a.toml",
                "name = 'a'\ncpus = 'two'",
                "line 2, column 8: field 'cpus': invalid type: string \"two\", expected u32",
            ),
            ("a.yaml", "name: a\ncpus: two", "line 2, column 7: field 'cpus': it is no number"),
            (
                "a.toml",
                "name = 'a'\ncommand = ['x']\nmemory = 'lots'",
                "line 3, column 10: field 'memory': 'lots' is not a size",
            ),
            (
                "a.yaml",
                "partitions:\n- name: a\n  command: [x]\n  volumes: [data:/b, nothing]",
                "line 4, column 22: field 'partitions[0].volumes[1]': 'nothing' ",
            ),
            ("a.yaml", "name: a\ncommand: [x]\nvolumes: ['./here:/b']", "is not a path from the root"),
            ("a.yaml", "name: a/b\ncommand: [x]", "line 1, column 7: field 'name': 'a/b' may hold"),
            ("a.yaml", "command: [x]", "field 'name': it is missing"),
            ("a.yaml", "name: a\ncommand: []", "line 2, column 10: field 'command': it is missing or empty"),
            ("a.toml", "name = 'a'\nname = 'b'", "line 2, column 1: duplicate key"),
            ("a.yaml", "name: a\nname: b", "line 2, column 1: duplicate mapping key: name"),
            ("a.toml", "name = ", "line 1, column 8: "),
            ("a.yaml", "name: 'a", "line 1, column 7: unclosed quote"),
            ("a.yaml", "name: a\n---\nname: b", "there are several documents"),
            ("a.txt", "name: a", "does not tell in which language"),
            ("a.yaml", "", "line 1, column 1"),
            ("a.yaml", "[1, 2]", "line 1"),
            ("a.yaml", "partitions: {a: b}", "line 1"),
        ];
        for (name, text, expected) in cases {
            let told = refused(name, text);
            assert!(told.contains(expected), "{text}\n{told}\nexpected: {expected}");
        }
    }
}
