//! Names and secrets, made at random.

/// The 17 hexadecimal digits of EC2's ids.
pub(crate) fn hex_id() -> String {
    let digits = format!("0{:016x}", fastrand::u64(..));
    digits[..17].to_owned()
}

/// `bytes` random bytes in hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| fastrand::u8(..)).collect();
    hex::encode(random)
}

/// A UUID of version 4.
pub(crate) fn uuid() -> String {
    let hex = random_hex(16);
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// Forty characters that nobody guesses within the life of a lab.
pub(crate) fn secret() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(40)
        .collect()
}
