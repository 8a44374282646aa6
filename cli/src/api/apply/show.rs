//! A plan for people, and for programs.

use serde_json::Value;

use super::plan::{Action, Difference, Step};

/// For programs.
pub fn json<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    let steps: Vec<&Step> = steps.collect();
    let text = serde_json::to_string_pretty(&serde_json::json!({ "partitions": steps })).unwrap_or_default();
    text + "\n"
}

/// All that is planned.
pub fn plan<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    steps.map(one).collect()
}

/// What is not as it is to be.
pub fn differences<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    steps.filter(|step| step.action != Action::Unchanged).map(one).collect()
}

fn one(step: &Step) -> String {
    let mut text = format!("{} {}: {}\n", step.action.sign(), step.partition, step.action.words().0);
    for difference in &step.differences {
        text += &format!("    {}\n", line(difference));
    }
    text
}

/// `memory: "64M" → "128M"`; of lists, what goes and what comes.
fn line(difference: &Difference) -> String {
    let Difference { field, old, new } = difference;
    let empty = Vec::new();
    let list = |value: &'_ Value| matches!(value, Value::Null | Value::Array(_));
    if list(old) && list(new) {
        let (old, new) = (old.as_array().unwrap_or(&empty), new.as_array().unwrap_or(&empty));
        let gone = old.iter().filter(|it| !new.contains(it)).map(|it| format!("- {it}"));
        let come = new.iter().filter(|it| !old.contains(it)).map(|it| format!("+ {it}"));
        let parts: Vec<String> = gone.chain(come).collect();
        if !parts.is_empty() && field != "command" {
            return format!("{field}: {}", parts.join(", "));
        }
    }
    let told = |value: &Value| if value.is_null() { "not set".to_owned() } else { value.to_string() };
    format!("{field}: {} → {}", told(old), told(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: Value, new: Value) -> String {
        line(&Difference { field: "f".to_owned(), old, new })
    }

    #[test]
    fn lists_tell_what_goes_and_what_comes() {
        assert_eq!(told(serde_json::json!(["a", "b"]), serde_json::json!(["b", "c"])), r#"f: - "a", + "c""#);
        assert_eq!(told(Value::Null, serde_json::json!(["a"])), r#"f: + "a""#);
        assert_eq!(
            told(serde_json::json!(["a", "b"]), serde_json::json!(["b", "a"])),
            r#"f: ["a","b"] → ["b","a"]"#
        );
        assert_eq!(told("64M".into(), Value::Null), r#"f: "64M" → not set"#);
    }
}
