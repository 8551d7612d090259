//! Why patterns are not taken, and how long they may be.

/// Most bytes of one pattern. A pattern names refs and paths; Git keeps a branch as a file, whose name
/// ends at 255 bytes, and paths that people write into a workflow are shorter. Four times that.
pub const PATTERN_MAX_BYTES: usize = 1024;

/// Most patterns of one list: the longest lists of paths in public repositories have a few hundred.
pub const LIST_MAX: usize = 1000;

/// Most bytes of all patterns of one list. Work is patterns × inputs, so a file of nothing but patterns
/// must not take a minute against a thousand paths; five hundred paths of 60 letters are this long.
pub const LIST_MAX_BYTES: usize = 32 * 1024;

/// Why a list of patterns can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// The forge refuses the pattern, and with it the whole list.
    #[error("the forge refuses the pattern `{pattern}`: {why}")]
    Refused {
        /// As it stands in the workflow.
        pattern: String,
        /// What is wrong with it.
        why: Fault,
    },
    /// The forge may know what it means, but this code does not.
    #[error("the pattern `{pattern}` can't be followed: {why}")]
    Unfollowed {
        /// As it stands in the workflow.
        pattern: String,
        /// What is not followed.
        why: Fault,
    },
    /// Over [`PATTERN_MAX_BYTES`].
    #[error(
        "a pattern has {bytes} bytes, and at most {PATTERN_MAX_BYTES} are followed: shorten it"
    )]
    Long {
        /// Its length.
        bytes: usize,
    },
    /// Over [`LIST_MAX`] or [`LIST_MAX_BYTES`].
    #[error(
        "a list has {count} patterns of {bytes} bytes, and at most {LIST_MAX} of {LIST_MAX_BYTES} bytes \
         are followed: use fewer and wider ones"
    )]
    Many {
        /// How many patterns.
        count: usize,
        /// Their bytes together.
        bytes: usize,
    },
}

impl BadPattern {
    /// Whether the forge refuses it too, so that what it does is known.
    #[must_use]
    pub fn is_refused_by_the_forge(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(super) fn of(pattern: &str, why: Fault) -> Self {
        let pattern = pattern.to_owned();
        if matches!(why, Fault::UnicodeClass | Fault::Flags) {
            Self::Unfollowed { pattern, why }
        } else {
            Self::Refused { pattern, why }
        }
    }

    pub(super) fn if_long(pattern: &str) -> Result<(), Self> {
        let bytes = pattern.len();
        if bytes > PATTERN_MAX_BYTES {
            return Err(Self::Long { bytes });
        }
        Ok(())
    }
}

/// What is wrong with a pattern, or with the expression that the forge makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `[]`.
    #[error("`[]` is empty")]
    EmptyClass,
    /// `[.]`, `[ü]`, `[a-]` in the older dialect.
    #[error("`[…]` may hold only a to z, A to Z, 0 to 9, and ranges of them")]
    ClassMember,
    /// `[abc`.
    #[error("a `[` has no `]`")]
    OpenClass,
    /// A `\` at the end.
    #[error("it ends with a `\\`")]
    OpenEscape,
    /// `a++`, `*+`: Go refuses what other engines read as possessive.
    #[error("two of `*`, `+` and `?` follow each other in a way that has no meaning")]
    RepeatsRepeat,
    /// `{+a}`.
    #[error("there is nothing before a `+` or `?` that it could repeat")]
    NothingToRepeat,
    /// `{abc`.
    #[error("a `{{` has no `}}`")]
    OpenGroup,
    /// `[z-a]`, `[[:nothing:]]`.
    #[error("a range in `[…]` is empty or unknown")]
    BadRange,
    /// `\y`.
    #[error("a `\\` stands before a letter or digit that it gives no meaning to")]
    BadEscape,
    /// A group that ends and never began: it can't come from a pattern, as they escape `)`.
    #[error("a group ends that never began")]
    ClosedGroup,
    /// `\pL`: this needs tables of the whole of Unicode, which are not worth their bytes here.
    #[error("it names a Unicode class (`\\p`), which is not followed here")]
    UnicodeClass,
    /// `{?i}` in the filters of Gitea 1.27: `(?` begins flags of an expression there.
    #[error(
        "a `{{` with a `?` behind it makes flags of an expression, which are not followed here"
    )]
    Flags,
}
