//! Images as `septum image ls` shows them, wherever they are.

use septum_api_types::size::Size;
use serde::Serialize;

/// What is shown of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// `sha256:` and digits.
    pub digest: String,
    pub files: u64,
    pub name: Option<String>,
    pub size: u64,
    /// In s since 1970.
    pub stored_at: i64,
}

/// A list of them.
pub fn list(images: &[Shown], is_json: bool) -> String {
    if is_json {
        return serde_json::to_string_pretty(images).unwrap_or_default() + "\n";
    }
    let mut text = format!("{:<40} {:<14} {:>10} {:>9}\n", "NAME", "DIGEST", "SIZE", "FILES");
    for image in images {
        let name = image.name.as_deref().unwrap_or("(none)");
        let digits = image.digest.strip_prefix("sha256:").and_then(|digits| digits.get(..12));
        let (digits, size) = (digits.unwrap_or_default(), Size(image.size).to_string());
        text += &format!("{name:<40} {digits:<14} {size:>10} {:>9}\n", image.files);
    }
    text
}
