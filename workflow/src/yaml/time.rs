//! Dates and times, which Go's `yaml` makes of plain scalars (`resolve.go`, `parseTimestamp`).

/// Reads `2006-1-2`, `2006-1-2T15:4:5.9Z`, `…+07:00` and `2006-1-2 15:4:5.9`, and gives it as Go prints
/// a time. `None` if it is no such thing: then it is a text.
pub(super) fn parse(text: &str) -> Option<String> {
    let (year, rest) = text.split_at_checked(4)?;
    let year: u32 = digits(year)?;
    let (month, rest) = number(rest.strip_prefix('-')?)?;
    let (day, rest) = number(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    }
    if let Some(rest) = rest.strip_prefix(['T', 't']) {
        let (clock, rest) = clock(rest)?;
        return Some(format!("{date} {clock} {}", zone(rest)?));
    }
    let (clock, rest) = clock(rest.strip_prefix(' ')?.trim_start_matches(' '))?;
    rest.is_empty().then(|| format!("{date} {clock} +0000 UTC"))
}

fn clock(text: &str) -> Option<(String, &str)> {
    let (hour, rest) = number(text)?;
    let (minute, rest) = number(rest.strip_prefix(':')?)?;
    let (second, rest) = number(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = fraction(rest);
    Some((format!("{hour:02}:{minute:02}:{second:02}{fraction}"), rest))
}

/// Billionths at most, and no zeros at the end.
fn fraction(text: &str) -> (String, &str) {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return (String::new(), text);
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return (String::new(), text);
    }
    let digits = rest[..length.min(9)].trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    (format!("{point}{digits}"), &rest[length..])
}

fn zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some("+0000 UTC".to_owned());
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| digits(text)).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if !matches!(sign, "+" | "-") || hours > 24 || minutes > 60 {
        return None;
    }
    // A server's own zone has a name: UTC's is known.
    let minutes = hours * 60 + minutes;
    if minutes == 0 {
        return Some("+0000 UTC".to_owned());
    }
    let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    Some(format!("{zone} {zone}"))
}

/// One or two digits.
fn number(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((digits(&text[..length])?, &text[length..]))
}

fn digits(text: &str) -> Option<u32> {
    let fit = text.bytes().all(|byte| byte.is_ascii_digit());
    fit.then(|| text.parse().ok()).flatten()
}

fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
