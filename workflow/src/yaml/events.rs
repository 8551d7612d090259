//! From tokens to events: YAML's grammar, as libyaml has it, without recursion.

use super::Refused;
use super::scan::{Scanner, Token};

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

impl NodeEvent {
    /// A scalar that is not written.
    fn null(properties: Properties) -> Self {
        Self::Scalar {
            properties,
            text: String::new(),
            plain: true,
        }
    }
}

/// What stands before a value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) anchor: Option<String>,
    pub(super) tag: Option<String>,
}

/// What may come next.
#[derive(Clone, Copy)]
enum State {
    Start,
    Node,
    Content,
    End,
    BlockEntry,
    IndentlessEntry,
    BlockKey,
    BlockValue,
    FlowEntry { is_first: bool },
    PairKey,
    PairValue,
    PairEnd,
    FlowKey { is_first: bool },
    FlowValue,
    FlowNoValue,
}

/// Where a node stands decides what it can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Flow,
    Block,
    /// A block where a list needs no indentation of its own: behind a key.
    BlockOrIndentless,
}

pub(super) struct Events {
    scanner: Scanner,
    state: State,
    states: Vec<State>,
    /// `%TAG`s of the document: what a handle stands for.
    tags: Vec<(String, String)>,
}

impl Events {
    pub(super) fn new(scanner: Scanner) -> Self {
        Self {
            scanner,
            state: State::Start,
            states: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The next event of the first document and its line, from 1; `None` at the document's end.
    pub(super) fn next(&mut self) -> Result<Option<(NodeEvent, usize)>, Refused> {
        if let State::Start = self.state {
            self.start()?;
        }
        let told = match self.state {
            State::Start | State::End => return self.scanner.token().map(|_| None),
            State::Node => self.node(Context::Block),
            State::Content => self.content(),
            State::BlockEntry => self.block_entry(),
            State::IndentlessEntry => self.indentless_entry(),
            State::BlockKey => self.block_key(),
            State::BlockValue => self.block_value(),
            State::FlowEntry { is_first } => self.flow_entry(is_first),
            State::PairKey => self.pair_key(),
            State::PairValue => self.flow_value(State::PairEnd, &Token::FlowSequenceEnd),
            State::PairEnd => self.pair_end(),
            State::FlowKey { is_first } => self.flow_key(is_first),
            State::FlowValue => {
                self.flow_value(State::FlowKey { is_first: false }, &Token::FlowMappingEnd)
            }
            State::FlowNoValue => self.empty(State::FlowKey { is_first: false }),
        };
        told.map(Some)
    }

    /// The document's begin: directives and `---`, or nothing. A stream without one has no document.
    fn start(&mut self) -> Result<(), Refused> {
        self.scanner.token()?;
        self.scanner.take();
        let is_explicit = match self.scanner.token()?.0 {
            Token::StreamEnd => {
                self.state = State::End;
                return Ok(());
            }
            Token::Version(..) | Token::TagPrefix { .. } | Token::DocumentStart => true,
            _ => false,
        };
        let mut has_version = false;
        while let Token::Version(..) | Token::TagPrefix { .. } = self.scanner.token()?.0 {
            let (token, line) = self.scanner.take();
            match token {
                Token::Version(1, 1) if !has_version => has_version = true,
                Token::TagPrefix { handle, prefix } if !self.knows(&handle) => {
                    self.tags.push((handle, prefix));
                }
                Token::Version(..) => {
                    return Err(Refused::new(
                        line,
                        "`%YAML` can only be `%YAML 1.1`, once; leave it out",
                    ));
                }
                _ => return Err(Refused::new(line, "a `%TAG` is there twice")),
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.knows(handle) {
                self.tags.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        if is_explicit {
            let (token, line) = self.scanner.token()?;
            if *token != Token::DocumentStart {
                return Err(Refused::new(*line, "`---` must follow the lines with `%`"));
            }
            self.scanner.take();
        }
        self.states.push(State::End);
        self.state = if is_explicit {
            State::Content
        } else {
            State::Node
        };
        Ok(())
    }

    fn knows(&self, handle: &str) -> bool {
        self.tags.iter().any(|(known, _)| known == handle)
    }

    fn content(&mut self) -> Told {
        match self.scanner.token()?.0 {
            Token::Version(..)
            | Token::TagPrefix { .. }
            | Token::DocumentStart
            | Token::DocumentEnd
            | Token::StreamEnd => {
                let state = self.back();
                self.empty(state)
            }
            _ => self.node(Context::Block),
        }
    }

    fn node(&mut self, context: Context) -> Told {
        let line = self.scanner.token()?.1;
        if let (Token::Alias(name), _) = self.scanner.token()? {
            let name = name.clone();
            self.scanner.take();
            self.state = self.back();
            return Ok((NodeEvent::Alias(name), line));
        }
        let properties = self.properties()?;
        let (token, at) = self.scanner.token()?;
        let (state, event) = match token {
            Token::BlockEntry if context == Context::BlockOrIndentless => {
                (State::IndentlessEntry, NodeEvent::SequenceStart(properties))
            }
            Token::FlowSequence => (
                State::FlowEntry { is_first: true },
                NodeEvent::SequenceStart(properties),
            ),
            Token::FlowMapping => (
                State::FlowKey { is_first: true },
                NodeEvent::MappingStart(properties),
            ),
            Token::BlockSequence if context != Context::Flow => {
                (State::BlockEntry, NodeEvent::SequenceStart(properties))
            }
            Token::BlockMapping if context != Context::Flow => {
                (State::BlockKey, NodeEvent::MappingStart(properties))
            }
            Token::Scalar { text, plain } => {
                let (text, plain) = (text.clone(), *plain);
                self.scanner.take();
                self.state = self.back();
                let event = NodeEvent::Scalar {
                    properties,
                    text,
                    plain,
                };
                return Ok((event, line));
            }
            _ if properties != Properties::default() => {
                self.state = self.back();
                return Ok((NodeEvent::null(properties), line));
            }
            _ => {
                return Err(Refused::new(
                    *at,
                    "a value is missing here, or it is indented wrongly",
                ));
            }
        };
        // A list without indentation has no token that opens it.
        if !matches!(state, State::IndentlessEntry) {
            self.scanner.take();
        }
        self.state = state;
        Ok((event, line))
    }

    /// An anchor and a tag, in any order.
    fn properties(&mut self) -> Result<Properties, Refused> {
        let mut properties = Properties::default();
        loop {
            let (token, line) = self.scanner.token()?;
            let line = *line;
            match token {
                Token::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some(name.clone());
                }
                Token::Tag { handle, suffix } if properties.tag.is_none() => {
                    let (handle, suffix) = (handle.clone(), suffix.clone());
                    properties.tag = Some(self.resolve(&handle, suffix, line)?);
                }
                _ => return Ok(properties),
            }
            self.scanner.take();
        }
    }

    fn resolve(&self, handle: &str, suffix: String, line: usize) -> Result<String, Refused> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        let prefix = self.tags.iter().find(|(known, _)| known == handle);
        prefix
            .map(|(_, prefix)| format!("{prefix}{suffix}"))
            .ok_or_else(|| {
                Refused::new(
                    line,
                    format!("no `%TAG` says what the tag `{handle}` stands for"),
                )
            })
    }

    fn block_entry(&mut self) -> Told {
        let (token, line) = self.scanner.token()?;
        match token {
            Token::BlockEntry => self.behind(
                &[Token::BlockEntry, Token::BlockEnd],
                State::BlockEntry,
                Context::Block,
            ),
            Token::BlockEnd => Ok(self.end()),
            _ => Err(Refused::new(
                *line,
                "an item of the list begins with `-`, in the list's own column",
            )),
        }
    }

    fn indentless_entry(&mut self) -> Told {
        let (token, line) = self.scanner.token()?;
        if *token != Token::BlockEntry {
            let line = *line;
            self.state = self.back();
            return Ok((NodeEvent::End, line));
        }
        let ends = [Token::BlockEntry, Token::Key, Token::Value, Token::BlockEnd];
        self.behind(&ends, State::IndentlessEntry, Context::Block)
    }

    fn block_key(&mut self) -> Told {
        let (token, line) = self.scanner.token()?;
        match token {
            Token::Key => self.behind(
                &[Token::Key, Token::Value, Token::BlockEnd],
                State::BlockValue,
                Context::BlockOrIndentless,
            ),
            Token::BlockEnd => Ok(self.end()),
            _ => Err(Refused::new(
                *line,
                "a key with a `:` must stand here, in the column of the keys above",
            )),
        }
    }

    fn block_value(&mut self) -> Told {
        if self.scanner.token()?.0 != Token::Value {
            return self.empty(State::BlockKey);
        }
        let ends = [Token::Key, Token::Value, Token::BlockEnd];
        self.behind(&ends, State::BlockKey, Context::BlockOrIndentless)
    }

    /// Behind the token that is next stands a node, or nothing where one of `ends` follows.
    fn behind(&mut self, ends: &[Token], then: State, context: Context) -> Told {
        let (_, line) = self.scanner.take();
        if ends.contains(&self.scanner.token()?.0) {
            return Ok(self.empty_at(then, line));
        }
        self.inner(then, context)
    }

    fn flow_entry(&mut self, is_first: bool) -> Told {
        self.flow_comma(is_first, &Token::FlowSequenceEnd, "]")?;
        match self.scanner.token()?.0 {
            Token::FlowSequenceEnd => Ok(self.end()),
            Token::Key => {
                let (_, line) = self.scanner.take();
                self.state = State::PairKey;
                Ok((NodeEvent::MappingStart(Properties::default()), line))
            }
            _ => self.inner(State::FlowEntry { is_first: false }, Context::Flow),
        }
    }

    /// Between the items of a list or map in brackets.
    fn flow_comma(&mut self, is_first: bool, end: &Token, bracket: &str) -> Result<(), Refused> {
        let (token, line) = self.scanner.token()?;
        if is_first || token == end {
            return Ok(());
        }
        if *token != Token::FlowEntry {
            return Err(Refused::new(
                *line,
                format!("`,` or `{bracket}` must stand here"),
            ));
        }
        self.scanner.take();
        Ok(())
    }

    /// A key in a list: a map of one pair.
    fn pair_key(&mut self) -> Told {
        match self.scanner.token()?.0 {
            Token::Value | Token::FlowEntry | Token::FlowSequenceEnd => {
                // What stands there instead of the key is lost, in libyaml too.
                let (_, line) = self.scanner.take();
                Ok(self.empty_at(State::PairValue, line))
            }
            _ => self.inner(State::PairValue, Context::Flow),
        }
    }

    fn pair_end(&mut self) -> Told {
        let line = self.scanner.token()?.1;
        self.state = State::FlowEntry { is_first: false };
        Ok((NodeEvent::End, line))
    }

    fn flow_key(&mut self, is_first: bool) -> Told {
        self.flow_comma(is_first, &Token::FlowMappingEnd, "}")?;
        match self.scanner.token()?.0 {
            Token::FlowMappingEnd => Ok(self.end()),
            Token::Key => {
                self.scanner.take();
                match self.scanner.token()?.0 {
                    Token::Value | Token::FlowEntry | Token::FlowMappingEnd => {
                        self.empty(State::FlowValue)
                    }
                    _ => self.inner(State::FlowValue, Context::Flow),
                }
            }
            _ => self.inner(State::FlowNoValue, Context::Flow),
        }
    }

    fn flow_value(&mut self, then: State, end: &Token) -> Told {
        if self.scanner.token()?.0 == Token::Value {
            self.scanner.take();
            let (token, _) = self.scanner.token()?;
            if *token != Token::FlowEntry && token != end {
                return self.inner(then, Context::Flow);
            }
        }
        self.empty(then)
    }

    /// A node, after which comes `then`.
    fn inner(&mut self, then: State, context: Context) -> Told {
        self.states.push(then);
        self.node(context)
    }

    fn end(&mut self) -> (NodeEvent, usize) {
        let (_, line) = self.scanner.take();
        self.state = self.back();
        (NodeEvent::End, line)
    }

    /// A null that is not written.
    fn empty(&mut self, then: State) -> Told {
        let line = self.scanner.token()?.1;
        Ok(self.empty_at(then, line))
    }

    fn empty_at(&mut self, then: State, line: usize) -> (NodeEvent, usize) {
        self.state = then;
        (NodeEvent::null(Properties::default()), line)
    }

    fn back(&mut self) -> State {
        self.states.pop().unwrap_or(State::End)
    }
}

/// An event and its line.
type Told = Result<(NodeEvent, usize), Refused>;
