//! What single words of an environment may look like: AWS's rules for names, and the forge's.

use super::Arch;
use super::read::Section;

/// Whether `text` consists of 1 to `max` characters that are all letters, digits or in `extra`.
pub(super) fn is_word(text: &str, extra: &str, max: usize) -> bool {
    !text.is_empty()
        && text.chars().count() <= max
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

/// Lower-case letters, digits and single dashes, beginning with a letter: what every name of AWS
/// that we derive from it admits.
pub(super) fn is_name(text: &str, max: usize) -> bool {
    is_word(text, "-", max)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.chars().any(|c| c.is_ascii_uppercase())
        && !text.ends_with('-')
        && !text.contains("--")
}

/// `eu-west-1`, `us-gov-east-1`.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return false;
    };
    let letters = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    first.len() == 2
        && letters(first)
        && !middle.is_empty()
        && middle.iter().all(|part| letters(part))
        && last.len() == 1
        && last.chars().all(|c| c.is_ascii_digit())
        // The bucket's name must fit 63 characters with the longest name.
        && text.len() <= 14
}

/// `prefix` and 8 or 17 hexadecimal digits, as EC2 makes its ids.
pub(super) fn is_ec2_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

/// Twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// `host`, or `docker://` and a reference of an image.
pub(super) fn is_serve(text: &str) -> bool {
    text == "host"
        || text
            .strip_prefix("docker://")
            .is_some_and(|image| is_word(image, "-._/:@", 200))
}

/// `*`, `owner/*` or `owner/name`.
pub(super) fn is_repository_pattern(text: &str) -> bool {
    match text.split_once('/') {
        None => text == "*",
        Some((owner, name)) => {
            is_word(owner, "-._", 100) && (name == "*" || is_word(name, "-._", 100))
        }
    }
}

/// `family.size`.
pub(super) fn is_instance_type(text: &str) -> bool {
    text.split_once('.').is_some_and(|(family, size)| {
        is_word(family, "-", 30) && is_word(size, "-", 20) && text.to_lowercase() == text
    })
}

/// Whether the type bursts on CPU credits: T, and a digit.
pub(super) fn is_burstable(instance_type: &str) -> bool {
    let mut chars = instance_type.chars();
    chars.next() == Some('t') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// Whether the type is a Graviton: a `g` behind the generation's digit (`m7g`, `c7gn`, `im4gn`), or
/// the first of them, `a1`.
pub(super) fn is_graviton(instance_type: &str) -> bool {
    let family = instance_type.split(['.', '-']).next().unwrap_or_default();
    let behind = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    family == "a1"
        || behind
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .contains('g')
}

/// An IPv4 or IPv6 network.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let longest = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= longest)
}

/// Scheme and port of an address, if it is one that may be a forge's: `http` or `https`, a host, no
/// user, query or fragment.
pub(super) fn forge_port(url: &str) -> Option<u16> {
    let (default, rest) = if let Some(rest) = url.strip_prefix("https://") {
        (443, rest)
    } else {
        (80, url.strip_prefix("http://")?)
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.split_once(':') {
        None => (authority, default),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
    };
    (is_word(host, "-.", 253) && (path.is_empty() || is_word(path, "-._/", 200))).then_some(port)
}

/// `arch`, x86_64 when left out.
pub(super) fn arch(section: &mut Section<'_, '_>) -> Arch {
    match section.string("arch").as_deref() {
        None | Some("x86_64") => Arch::X86_64,
        Some("arm64") => Arch::Arm64,
        Some(_) => {
            section.problem("arch", "must be x86_64 or arm64");
            Arch::X86_64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_types_are_told_by_the_letter_behind_the_generation() {
        for graviton in [
            "t4g.small",
            "m7g.large",
            "c7gn.large",
            "im4gn.large",
            "a1.medium",
            "g5g.xlarge",
        ] {
            assert!(is_graviton(graviton), "{graviton}");
        }
        for other in [
            "t3.small",
            "g4dn.xlarge",
            "g5.xlarge",
            "m7i-flex.large",
            "p4d.24xlarge",
            "m7a.medium",
        ] {
            assert!(!is_graviton(other), "{other}");
        }
    }

    #[test]
    fn forge_addresses_have_a_port_and_nothing_secret() {
        for (url, port) in [
            ("https://tinqs.com", Some(443)),
            ("http://forge.lab:3000", Some(3000)),
            ("https://example.com/git", Some(443)),
            ("https://user:pass@example.com", None),
            ("https://example.com?token=x", None),
            ("ftp://example.com", None),
            ("https://example.com:0", None),
            ("https://example.com:99999", None),
        ] {
            assert_eq!(forge_port(url), port, "{url}");
        }
    }

    #[test]
    fn names_regions_and_networks_follow_aws() {
        for (text, right) in [
            ("tinqs-ci", true),
            ("Tinqs", false),
            ("-ci", false),
            ("ci-", false),
            ("c--i", false),
            ("1ci", false),
        ] {
            assert_eq!(is_name(text, 24), right, "{text}");
        }
        for (text, right) in [
            ("eu-west-1", true),
            ("us-gov-east-1", true),
            ("eu-west", false),
            ("ireland", false),
            ("EU-WEST-1", false),
        ] {
            assert_eq!(is_region(text), right, "{text}");
        }
        for (text, right) in [
            ("10.0.0.0/8", true),
            ("::/0", true),
            ("10.0.0.0/33", false),
            ("10.0.0.0", false),
            ("here/8", false),
        ] {
            assert_eq!(is_cidr(text), right, "{text}");
        }
    }
}
