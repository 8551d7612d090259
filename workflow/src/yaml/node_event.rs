//! What the grammar's reader gives, and the reader of nodes takes.

/// What a document consists of, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NodeEvent {
    Scalar {
        properties: Properties,
        text: String,
        plain: bool,
    },
    SequenceStart(Properties),
    MappingStart(Properties),
    /// Of the list or map that was started last.
    End,
    Alias(String),
}

/// What stands before a value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) anchor: Option<String>,
    pub(super) tag: Option<String>,
}
