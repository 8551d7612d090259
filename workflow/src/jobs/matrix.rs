//! From `strategy.matrix` to combinations: one job each.
//!
//! Gitea 1.26 (act's fork 0.261, `GetMatrixes`): every key but `include` and `exclude` is a list, and
//! each choice of one item per list is a combination, but for those that an `exclude` names. An
//! `include` that shares a key with the matrix adds its values to the combinations that it agrees with,
//! or is one of its own; one that shares none is one of its own. What is not a map of lists is no matrix
//! at all, and the job is one job. Forgejo's runner 12 has the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::expression;
use crate::server::{Capability, Server};
use crate::yaml::{Decoded, Kind, Node, Refused, Shape, Value};

/// Combinations of one matrix, and jobs of one run, that are looked at: each job is a machine, and
/// `GitHub` ends at 256. Gitea knows no end.
pub const JOBS_MAX: usize = 1_000;

/// Bytes that a combination's values may take in the name of its job: names are cut at 255, and what is
/// printed is sorted.
const COMBINATION_BYTES_MAX: usize = 4 * 1024;

/// One combination: a value for each key. It is printed as in names of jobs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Combination(BTreeMap<String, Cell>);

#[derive(Debug, Clone)]
struct Cell {
    value: Arc<Value>,
    printed: Arc<str>,
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Cell {
    fn new(value: Value) -> Self {
        let printed = value.to_string().into();
        let value = Arc::new(value);
        Self { value, printed }
    }
}

/// How `include` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// One that shares no key with the matrix is a job of its own (Gitea, Forgejo).
    OfItsOwn,
    /// It is merged into every combination (`GitHub`, nektos/act).
    Merged,
}

/// A matrix in its normal form: a list for each key.
type Lists = BTreeMap<String, Vec<Value>>;

impl Combination {
    /// Whether it has no keys: the job has no matrix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its keys and values, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .map(|(key, cell)| (key.as_str(), &*cell.value))
    }

    /// The context `matrix`.
    #[must_use]
    pub fn context(&self) -> expression::Value {
        let value =
            |(key, cell): (&String, &Cell)| (key.clone(), expression::Value::yaml(&cell.value));
        expression::Value::map(self.0.iter().map(value).collect())
    }

    /// What stands behind the job's name: the values in the order of their keys, in brackets.
    #[must_use]
    pub fn name(&self) -> String {
        let values: Vec<&str> = self.0.values().map(|cell| &*cell.printed).collect();
        format!("({})", values.join(", "))
    }

    fn is_in_bounds(&self) -> bool {
        self.0
            .values()
            .map(|cell| cell.printed.len())
            .sum::<usize>()
            <= COMBINATION_BYTES_MAX
    }
}

/// The combinations of a job's `strategy.matrix`, sorted by what stands behind the job's name. There is
/// one of a job without a matrix, and of one that is none. One that excludes everything has one too, but
/// not in Forgejo from 15 on (measured).
pub fn combinations(matrix: Option<&Node>, server: Server) -> Result<Vec<Combination>, Refused> {
    let Some(node) = matrix else {
        return Ok(vec![Combination::default()]);
    };
    if server.has(Capability::ChecksMatrixFilters) {
        check_filters(node)?;
    }
    let Some(lists) = lists(node, server) else {
        return Ok(vec![Combination::default()]);
    };
    let mut combinations = multiply(lists, Include::OfItsOwn).map_err(|mut refused| {
        refused.line = refused.line.or(Some(node.line));
        refused
    })?;
    if combinations.is_empty() && !server.has(Capability::EmptyMatrixHasNoJob) {
        combinations.push(Combination::default());
    }
    combinations.sort_by_cached_key(Combination::name);
    Ok(combinations)
}

/// `include` and `exclude` must be maps, or lists of them (Gitea from 1.27.3 on, `validateMatrixFilters`).
fn check_filters(matrix: &Node) -> Result<(), Refused> {
    for name in ["include", "exclude"] {
        let entries = match matrix.get(name) {
            None => &[],
            Some(Node {
                kind: Kind::Sequence(items),
                ..
            }) => items.as_slice(),
            Some(alone) => std::slice::from_ref(alone),
        };
        let odd = entries
            .iter()
            .find(|entry| !matches!(entry.kind, Kind::Mapping(_)));
        if let Some(odd) = odd {
            let reason = format!("matrix: `{name}` must be a list of maps");
            return Err(Refused::new(odd.line, reason));
        }
    }
    Ok(())
}

/// The matrix that a node is. Gitea up to 1.26 and Forgejo: a map of lists, else none. Gitea from 1.27
/// on (runner 1.0.8, `Matrix`): a value that is no list is a list of one, and none if one is a map.
fn lists(node: &Node, server: Server) -> Option<Lists> {
    if !matches!(node.kind, Kind::Mapping(_)) {
        return None;
    }
    if server.has(Capability::SingleMatrixValues)
        && let Ok(decoded) = node.decode(&Shape::Map(&Shape::Any))
    {
        let fields = decoded.fields().into_iter();
        let map = fields
            .map(|(key, decoded)| (key, decoded.value()))
            .collect();
        return normal_form(&map).ok();
    }
    let lists = node.decode(&Shape::Map(&Shape::List(&Shape::Any))).ok()?;
    let values = |decoded: Decoded<'_>| decoded.items().into_iter().map(Decoded::value).collect();
    let fields = lists.fields().into_iter();
    Some(
        fields
            .map(|(key, decoded)| (key, values(decoded)))
            .collect(),
    )
}

/// The normal form of a matrix (runner 1.0.8): a list for each key.
pub fn normal_form(matrix: &BTreeMap<String, Value>) -> Result<Lists, Refused> {
    let list = |(key, value): (&String, &Value)| Ok((key.clone(), normal_value(key, value)?));
    matrix.iter().map(list).collect()
}

/// The normal form of one key's value (runner 1.0.8): what is no list is a list of one, a map is
/// refused.
pub fn normal_value(key: &str, value: &Value) -> Result<Vec<Value>, Refused> {
    if let Value::Map(_) = value {
        let reason = format!("matrix: `{key}` is a map; give it a value or a list");
        return Err(Refused::new(None, reason));
    }
    Ok(if let Value::List(items) = value {
        items.clone()
    } else {
        vec![value.clone()]
    })
}

/// All combinations of a matrix in its normal form; none, if it leaves out all.
pub fn multiply(mut lists: Lists, rule: Include) -> Result<Vec<Combination>, Refused> {
    let is_key = |key: &str, lists: &Lists| lists.contains_key(key);
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    for include in entries(lists.get("include").map_or(&[], Vec::as_slice))? {
        let has_key = include.0.keys().any(|key| is_key(key, &lists));
        if has_key || rule == Include::Merged {
            shared.push(include);
        } else {
            own.push(include);
        }
    }
    lists.remove("include");
    let excludes = excludes(&lists)?;
    lists.remove("exclude");

    let mut combinations = product(&lists)?;
    combinations.retain(|combination| {
        let is_named = |exclude: &Combination| agree(combination, exclude, |_| true);
        !excludes.iter().any(is_named)
    });
    for include in shared {
        let mut matched = false;
        for combination in &mut combinations {
            if agree(combination, &include, |key| is_key(key, &lists)) {
                matched = true;
                combination.0.extend(include.0.clone());
            }
        }
        if !matched {
            own.push(include);
        }
    }
    combinations.append(&mut own);
    bounded(combinations.len())?;
    if !combinations.iter().all(Combination::is_in_bounds) {
        let reason = format!(
            "matrix: the values of a combination take more than {COMBINATION_BYTES_MAX} bytes"
        );
        return Err(Refused::limit(None, reason));
    }
    Ok(combinations)
}

/// The entries of `include`: maps, or lists of maps. The forge panics at others, but for null.
fn entries(items: &[Value]) -> Result<Vec<Combination>, Refused> {
    let mut entries = Vec::new();
    for item in items.iter().filter(|item| **item != Value::Null) {
        let own = if let Value::List(items) = item {
            items.as_slice()
        } else {
            std::slice::from_ref(item)
        };
        for item in own {
            entries.push(entry(item, "include")?);
        }
        bounded(entries.len())?;
    }
    Ok(entries)
}

fn entry(item: &Value, of: &str) -> Result<Combination, Refused> {
    let Value::Map(map) = item else {
        let reason = format!("matrix: an entry of `{of}` is no map; Gitea panics at it");
        return Err(Refused::crash(None, reason));
    };
    let cell = |(key, value): (&String, &Value)| (key.clone(), Cell::new(value.clone()));
    Ok(Combination(map.iter().map(cell).collect()))
}

/// The entries of `exclude`; each key of them must be one of the matrix. An empty one excludes nothing.
fn excludes(lists: &Lists) -> Result<Vec<Combination>, Refused> {
    let items = lists.get("exclude").map_or(&[][..], Vec::as_slice);
    bounded(items.len())?;
    let mut excludes = Vec::new();
    for item in items {
        let exclude = entry(item, "exclude")?;
        if let Some(key) = exclude.0.keys().find(|key| !lists.contains_key(*key)) {
            let reason = format!("matrix: `exclude` names `{key}`, which is no key of the matrix");
            return Err(Refused::new(None, reason));
        }
        if !exclude.is_empty() {
            excludes.push(exclude);
        }
    }
    Ok(excludes)
}

/// Whether both have the same value for each key that both have; keys that don't count are not looked at.
fn agree(combination: &Combination, entry: &Combination, counts: impl Fn(&str) -> bool) -> bool {
    combination.0.iter().all(|(key, cell)| {
        let other = entry.0.get(key);
        !counts(key) || other.is_none_or(|other| other == cell)
    })
}

/// One item of each list; nothing if there is no list or one is empty.
fn product(lists: &Lists) -> Result<Vec<Combination>, Refused> {
    if lists.is_empty() || lists.values().any(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let mut combinations = vec![Combination::default()];
    for (key, list) in lists {
        bounded(combinations.len().saturating_mul(list.len()))?;
        let cells: Vec<Cell> = list.iter().cloned().map(Cell::new).collect();
        let mut longer = Vec::with_capacity(combinations.len() * cells.len());
        for combination in combinations {
            longer.extend(cells.iter().map(|cell| {
                let mut combination = combination.clone();
                combination.0.insert(key.clone(), cell.clone());
                combination
            }));
        }
        combinations = longer;
    }
    Ok(combinations)
}

fn bounded(many: usize) -> Result<(), Refused> {
    if many > JOBS_MAX {
        let reason = format!("matrix: it makes more than {JOBS_MAX} jobs; split it");
        return Err(Refused::limit(None, reason));
    }
    Ok(())
}
