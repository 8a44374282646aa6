//! Series of measurements, and the one number that stands for each: the median.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Named series of numbers, such as `exits.mmio` or `wall_us`.
#[derive(Default)]
pub struct Series {
    values: BTreeMap<String, Vec<f64>>,
}

impl Series {
    /// Adds one measurement.
    pub fn add(&mut self, name: &str, value: f64) {
        self.values.entry(name.to_owned()).or_default().push(value);
    }

    /// Adds what another has measured.
    pub fn append(&mut self, other: Self) {
        for (name, values) in other.values {
            self.values.entry(name).or_default().extend(values);
        }
    }

    /// The latest measurement of this name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.last().copied()
    }

    /// Adds every number of a JSON object, named by its path.
    pub fn add_numbers(&mut self, prefix: &str, value: &Value) {
        match value {
            Value::Number(number) => self.add(prefix, number.as_f64().unwrap_or_default()),
            Value::Object(members) => {
                for (key, member) in members {
                    let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    self.add_numbers(&name, member);
                }
            }
            _ => {}
        }
    }

    /// Each series as its median, smallest and largest value.
    pub fn summary(&self) -> Value {
        let entries = self.values.iter().filter_map(|(name, values)| {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let (first, last) = (sorted.first()?, sorted.last()?);
            Some((name.clone(), json!({ "median": median(&sorted)?, "min": first, "max": last })))
        });
        Value::Object(entries.collect())
    }
}

/// The middle of a sorted series; between two middle values, their mean.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
    }

    #[test]
    fn nested_numbers_are_named_by_their_path() {
        let mut series = Series::default();
        for value in [5, 1, 3] {
            series.add_numbers("", &json!({ "exits": { "mmio": value }, "name": "ignored", "list": [1] }));
        }
        assert_eq!(series.summary(), json!({ "exits.mmio": { "median": 3.0, "min": 1.0, "max": 5.0 } }));
    }
}
