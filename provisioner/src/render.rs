//! Environment and templates to stacks: pure, and the same bytes for the same input.
//!
//! Rule: a value reaches a template only through the `json` filter (or is one of the names that
//! the environment's checks confine to letters, digits and dashes), so nothing can break out of it.

mod alarms;
mod context;
mod document;
mod pools;
mod roles;
mod user_data;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json as json_value};
use sha2::{Digest, Sha256};
use tera::{Context, Tera};

pub use document::flatten;
pub(crate) use user_data::strip as without_comments;

use crate::environment::Environment;

/// Most bytes of a template that is sent inline; a larger one goes through the bucket, which the state
/// stack makes, so that stack's own can't.
pub const TEMPLATE_INLINE_MAX_BYTES: usize = 51_200;
/// Most bytes of a template in a bucket.
pub const TEMPLATE_MAX_BYTES: usize = 1_000_000;
/// Most bytes of user-data: EC2 takes 16 KB, and the API's id is longer than its placeholder.
pub const USER_DATA_MAX_BYTES: usize = 15 * 1024;
/// Most bytes of a standard parameter.
pub const DOCUMENT_MAX_BYTES: usize = 4096;

/// The stacks, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stack {
    /// What must survive.
    State,
    /// What runners are made of.
    Runner,
    /// The dispatcher.
    Dispatch,
}

impl Stack {
    /// Every stack, in the order in which they are made.
    pub const ALL: [Self; 3] = [Self::State, Self::Runner, Self::Dispatch];

    /// Its word, the same in its name, its file and its tag.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Runner => "runner",
            Self::Dispatch => "dispatch",
        }
    }

    /// What it is for people and for CloudFormation's console.
    const fn description(self) -> &'static str {
        match self {
            Self::State => "what must survive: ledger, code, logs, HTTP API",
            Self::Runner => "what runners are made of",
            Self::Dispatch => "the dispatcher",
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::State => include_str!("../../stacks/templates/state.yaml.tera"),
            Self::Runner => include_str!("../../stacks/templates/runner.yaml.tera"),
            Self::Dispatch => include_str!("../../stacks/templates/dispatch.yaml.tera"),
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One rendered template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Which stack it makes.
    pub stack: Stack,
    /// What it says.
    pub value: Value,
    /// The bytes that are deployed: compact JSON with sorted keys.
    pub body: String,
}

impl Template {
    /// The template from which the stack is made first, where that differs: without protection of its
    /// tables, which would keep CloudFormation from rolling a failed creation back.
    #[must_use]
    pub fn unprotected(&self) -> Option<String> {
        let mut value = self.value.clone();
        let resources = value["Resources"].as_object_mut().into_iter().flatten();
        for (_, resource) in resources {
            if let Some(properties) = resource["Properties"].as_object_mut() {
                properties.remove("DeletionProtectionEnabled");
            }
        }
        (value != self.value).then(|| value.to_string())
    }
}

/// One pool's user-data, with the placeholder for the API's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserData {
    /// The pool's name.
    pub pool: String,
    /// The script.
    pub script: String,
}

/// Everything that an environment renders to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The templates, in the order of [`Stack::ALL`].
    pub templates: Vec<Template>,
    /// The user-data of each pool.
    pub user_data: Vec<UserData>,
}

impl Rendered {
    /// The template of `stack`.
    ///
    /// # Panics
    /// Never: rendering makes one template for each stack.
    #[must_use]
    pub fn template(&self, stack: Stack) -> &Template {
        self.templates
            .iter()
            .find(|template| template.stack == stack)
            .expect("render makes one template for each stack")
    }

    /// Digest of all templates.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for template in &self.templates {
            hash.update(template.body.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}

/// Why an environment can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template is wrong: a name it uses doesn't exist.
    #[error("template {name} does not render:\n{message}")]
    Template {
        /// The template's file.
        name: String,
        /// What Tera says.
        message: String,
    },
    /// What a template renders to is no YAML.
    #[error("template {name} renders to something that is not YAML")]
    Yaml {
        /// The template's file.
        name: String,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// Something is larger than AWS takes.
    #[error("{what} has {bytes} bytes and may have {limit}; {hint}")]
    TooLarge {
        /// What it is.
        what: String,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
        /// What to do.
        hint: &'static str,
    },
}

/// Renders everything.
pub fn render(environment: &Environment) -> Result<Rendered, RenderError> {
    let user_data = environment
        .pools
        .iter()
        .map(|pool| user_data::render(environment, pool))
        .collect::<Result<Vec<_>, _>>()?;
    let templates = Stack::ALL
        .into_iter()
        .map(|stack| template(environment, stack, &user_data))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Rendered {
        templates,
        user_data,
    })
}

fn template(
    environment: &Environment,
    stack: Stack,
    user_data: &[UserData],
) -> Result<Template, RenderError> {
    let name = format!("stacks/templates/{stack}.yaml.tera");
    let context = context::of(environment, stack, user_data)?;
    let text = tera(&name, stack.source(), &context)?;
    let value = yaml::to_json(&text).map_err(|source| RenderError::Yaml { name, source })?;
    let body = value.to_string();
    let full_name = stack_name(environment, stack);
    within(
        &format!("the template of the stack {full_name}"),
        body.len(),
        match stack {
            Stack::State => TEMPLATE_INLINE_MAX_BYTES,
            Stack::Runner | Stack::Dispatch => TEMPLATE_MAX_BYTES,
        },
        "fewer pools, or pools with fewer labels and types, make it smaller",
    )?;
    Ok(Template { stack, value, body })
}

fn tera(name: &str, source: &str, context: &Context) -> Result<String, RenderError> {
    let fail = |error: tera::Error| RenderError::Template {
        name: name.to_owned(),
        message: error.to_string(),
    };
    let mut tera = Tera::new();
    tera.register_filter("json", json);
    tera.register_filter("sub", sub);
    tera.add_raw_template(name, source).map_err(fail)?;
    tera.render(name, context).map_err(fail)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
/// JSON is YAML, and a JSON string has no way out of its quotes.
fn json(value: tera::Value, _: tera::Kwargs, _: &tera::State) -> tera::TeraResult<String> {
    serde_json::to_string(&value).map_err(|error| tera::Error::message(error.to_string()))
}

/// A text that may hold `${…}` for CloudFormation to fill.
fn sub(text: String, _: tera::Kwargs, _: &tera::State) -> String {
    let tag = if text.contains("${") { "!Sub " } else { "" };
    format!("{tag}{}", Value::from(text))
}

fn within(what: &str, bytes: usize, limit: usize, hint: &'static str) -> Result<(), RenderError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(RenderError::TooLarge {
        what: what.to_owned(),
        bytes,
        limit,
        hint,
    })
}

/// Name of the stack `stack` of that environment.
#[must_use]
pub fn stack_name(environment: &Environment, stack: Stack) -> String {
    let names = environment.names();
    match stack {
        Stack::State => names.stack_state,
        Stack::Runner => names.stack_runner,
        Stack::Dispatch => names.stack_dispatch,
    }
}

/// Tags as most resources take them.
fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json_value!({"Key": key, "Value": value}))
        .collect()
}
