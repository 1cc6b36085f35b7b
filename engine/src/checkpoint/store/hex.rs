//! Numbers of 64 bits in JSON: 16 hexadecimal digits, because many readers round what is above 2^53.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        format!("{number:016x}").serialize(serializer)
    } else {
        number.serialize(serializer)
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    if !deserializer.is_human_readable() {
        return u64::deserialize(deserializer);
    }
    let text = String::deserialize(deserializer)?;
    let refused = || D::Error::custom(format!("\"{text}\" is not 16 hexadecimal digits"));
    if text.len() != 16 || text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(refused());
    }
    u64::from_str_radix(&text, 16).map_err(|_| refused())
}
