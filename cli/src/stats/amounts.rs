//! Amounts as people read them: three digits and a unit.

use septum_api_types::v1::Stats;

/// `12.3%`
pub fn percent(value: f64) -> String {
    format!("{value:.1}%")
}

/// Bytes, in powers of 1024.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(value: u64) -> String {
    scaled(value as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A count, in powers of 1000.
pub fn count(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    match unit {
        0 => format!("{value:.0}{}", units[0]),
        _ if value < 10.0 => format!("{value:.1}{}", units[unit]),
        _ => format!("{value:.0}{}", units[unit]),
    }
}

/// A part of something, in percent; of nothing, nothing.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Bytes that the guest got from devices of these kinds, and gave them.
pub fn traffic(stats: &Stats, kinds: &[&str]) -> (u64, u64) {
    let devices = stats.counters.iter().flat_map(|counters| &counters.devices);
    let wanted = devices.filter(|device| {
        let kind = device.name.split('/').next().unwrap_or_default();
        kinds.contains(&kind)
    });
    wanted.fold((0, 0), |(read, written), device| {
        (u64::saturating_add(read, device.read_bytes), u64::saturating_add(written, device.written_bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [0, 1023, 1024, 1536, 20 << 20, u64::MAX].map(bytes),
            ["0B", "1023B", "1.0KiB", "1.5KiB", "20MiB", "16EiB"]
        );
        assert_eq!([0.4, 999.0, 1234.0, 5e6].map(count), ["0", "999", "1.2k", "5.0M"]);
        assert_eq!((percent(12.34), share(1, 4), share(1, 0)), ("12.3%".to_owned(), 25.0, 0.0));
    }
}
