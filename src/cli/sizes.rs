//! Sizes as people write them: `512`, `64MB`, `2GiB`.

/// Parses a number of bytes; units are decimal (`MB`) or binary (`MiB`).
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no size; write 500MB or 2GiB"))?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        "tib" => 1 << 40,
        _ => return Err(format!("`{unit}` is no unit; write kB, MB, GB, KiB, MiB or GiB")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_both_kinds() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("64MB"), Ok(64_000_000));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert!(bytes("many").is_err() && bytes("3 parsecs").is_err() && bytes("99999999999TB").is_err());
    }
}
