//! Where a PCI function is: `DOMAIN:BUS:DEVICE.FUNCTION`, in hexadecimal, as sysfs names it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A PCI function's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}:{:02x}:{:02x}.{}", self.domain, self.bus, self.device, self.function)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("'{text}' {error}")))
    }
}

impl FromStr for Address {
    type Err = &'static str;

    /// The domain may be left out: it is 0 then.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "is no PCI address; expected one such as 0000:41:00.0";
        // The standard library would take a sign.
        let number = |text: &str, most: u32| {
            let is_plain = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let value = u32::from_str_radix(text, 16).ok().filter(|&value| is_plain && value <= most);
            value.ok_or(EXPECTED)
        };
        let byte =
            |text, most| number(text, most).and_then(|value| u8::try_from(value).map_err(|_| EXPECTED));
        let (rest, function) = text.rsplit_once('.').ok_or(EXPECTED)?;
        let (rest, device) = rest.rsplit_once(':').ok_or(EXPECTED)?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        Ok(Self {
            domain: number(domain, u32::MAX)?,
            bus: byte(bus, 0xff)?,
            device: byte(device, 0x1f)?,
            function: byte(function, 7)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_as_sysfs_has_them() {
        for (text, name) in [
            ("0000:41:00.0", "0000:41:00.0"),
            ("41:1f.7", "0000:41:1f.7"),
            ("10000:E1:00.1", "10000:e1:00.1"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), name);
        }
        for text in [
            "",
            ".",
            "41:00",
            "0000:41:00.8",
            "0000:41:20.0",
            "0000:100:00.0",
            "+1:00.0",
            "../..:00.0",
            "::.",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
