//! Patterns of `branches`, `tags` and `paths`: made of what is there, and odd ones.

use fastrand::Rng;

use super::pick;

/// Patterns that documentation, bug reports and the engines' own grammar know.
const KNOWN: [&str; 42] = [
    "*",
    "**",
    "**/*",
    "*/**",
    "**/",
    "/**",
    "*.md",
    "**.md",
    "docs/**",
    "**/docs/**",
    "src/*",
    "src/**/*.rs",
    "**/README.md",
    "feature/*",
    "feature/**",
    "*feature*",
    "release/**",
    "v*",
    "v[12].*",
    "v[0-9]+.[0-9]+",
    "!main",
    "!**",
    "!docs/**",
    "\\!bang",
    "\\*",
    "a\\",
    "[",
    "[a",
    "[!a]*",
    "[^a]*",
    "[a-]*",
    "[z-a]",
    "[]",
    "[.]*",
    "a++",
    "a??",
    "+a",
    "?",
    "(main)",
    "{main,dev}",
    "ma.n",
    " main",
];

/// One pattern; `names` are what it may be about.
pub(crate) fn pattern(rng: &mut Rng, names: &[String]) -> String {
    let mut pattern = match rng.u8(..10) {
        0..4 => pick(rng, &KNOWN).to_owned(),
        4 if !names.is_empty() => pick_name(rng, names),
        5..9 if !names.is_empty() => {
            let name = pick_name(rng, names);
            loosened(rng, &name)
        }
        _ => assembled(rng),
    };
    if rng.u8(..7) == 0 {
        pattern.insert(0, '!');
    }
    pattern
}

fn pick_name(rng: &mut Rng, names: &[String]) -> String {
    names[rng.usize(..names.len())].clone()
}

/// A name with some of it replaced by what may match it.
fn loosened(rng: &mut Rng, name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let from = rng.usize(..chars.len());
    let to = rng.usize(from..=chars.len());
    let middle = match rng.u8(..9) {
        0 | 1 => "*".to_owned(),
        2 | 3 => "**".to_owned(),
        4 => "?".to_owned(),
        5 => format!("[{}]", chars[from]),
        6 => "[a-z0-9]+".to_owned(),
        7 => format!("{}+", chars[from]),
        _ => format!("\\{}", chars[from]),
    };
    let (left, right) = (&chars[..from], &chars[to..]);
    left.iter().collect::<String>() + &middle + &right.iter().collect::<String>()
}

fn assembled(rng: &mut Rng) -> String {
    const PIECES: [&str; 18] = [
        "a", "b", "main", "docs", "/", "/", ".", "*", "**", "?", "+", "[ab]", "[0-9]", "\\", "-",
        "!", "ü", "md",
    ];
    (0..rng.usize(1..6)).map(|_| pick(rng, &PIECES)).collect()
}
