//! Reads and evaluates in one pass, by precedence: `||`, `&&`, comparison, `!`, value. Both sides are
//! always evaluated; nothing here has an effect.

use serde_json::Value;

use super::{Error, Standing, View, equal, number, text_of, truthy};

pub(super) fn evaluate(text: &str, view: View<'_>) -> Result<Value, Error> {
    let mut reader = Reader {
        text,
        rest: text,
        view,
    };
    let value = reader.either()?;
    reader.blank();
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(reader.syntax())
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    view: View<'a>,
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Result<Value, Error> {
        let mut left = self.both()?;
        while self.take("||") {
            let right = self.both()?;
            left = if truthy(&left) { left } else { right };
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Value, Error> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            let right = self.comparison()?;
            left = if truthy(&left) { right } else { left };
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Value, Error> {
        let left = self.unary()?;
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if !self.take(operator) {
                continue;
            }
            let right = self.unary()?;
            let order = number(&left).zip(number(&right));
            let holds = match operator {
                "==" => equal(&left, &right),
                "!=" => !equal(&left, &right),
                "<=" => order.is_some_and(|(left, right)| left <= right),
                ">=" => order.is_some_and(|(left, right)| left >= right),
                "<" => order.is_some_and(|(left, right)| left < right),
                _ => order.is_some_and(|(left, right)| left > right),
            };
            return Ok(Value::Bool(holds));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value, Error> {
        self.blank();
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.rest = &self.rest[1..];
            let value = self.unary()?;
            return Ok(Value::Bool(!truthy(&value)));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Value, Error> {
        self.blank();
        if self.take("(") {
            let value = self.either()?;
            return if self.take(")") {
                Ok(value)
            } else {
                Err(self.syntax())
            };
        }
        match self.rest.chars().next() {
            Some('\'') => self.string(),
            Some(first) if first.is_ascii_digit() || first == '-' => self.number(),
            Some(first) if first.is_ascii_alphabetic() || first == '_' => self.name(),
            _ => Err(self.syntax()),
        }
    }

    /// A quoted text; a doubled quote is a quote.
    fn string(&mut self) -> Result<Value, Error> {
        let mut out = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let Some((part, after)) = rest.split_once('\'') else {
                return Err(self.syntax());
            };
            out.push_str(part);
            if let Some(after) = after.strip_prefix('\'') {
                out.push('\'');
                rest = after;
            } else {
                self.rest = after;
                return Ok(Value::String(out));
            }
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let word = self.word(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
        let parsed = word
            .parse::<i64>()
            .ok()
            .map(Value::from)
            .or_else(|| word.parse::<f64>().ok().map(Value::from));
        parsed.ok_or_else(|| self.syntax())
    }

    /// A literal word, a function call, or a path into the contexts.
    fn name(&mut self) -> Result<Value, Error> {
        let name = self.word(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
        match name {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            _ => {}
        }
        if self.take("(") {
            let arguments = self.arguments()?;
            return call(name, &arguments, self.view.standing);
        }
        let mut value = lookup(self.view.contexts, name);
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                let field =
                    self.word(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
                if field.is_empty() {
                    return Err(self.syntax());
                }
                value = lookup(&value, field);
            } else if self.take("[") {
                let index = self.either()?;
                if !self.take("]") {
                    return Err(self.syntax());
                }
                value = match index.as_u64() {
                    Some(index) => value
                        .get(usize::try_from(index).unwrap_or(usize::MAX))
                        .cloned()
                        .unwrap_or_default(),
                    None => lookup(&value, &text_of(&index)),
                };
            } else {
                return Ok(value);
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Value>, Error> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.either()?);
            if self.take(")") {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(self.syntax());
            }
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|letter| !belongs(letter))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, token: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn syntax(&self) -> Error {
        Error::Syntax {
            text: self.text.to_owned(),
            rest: self.rest.to_owned(),
        }
    }
}

/// Names are found without case, and what is not there is null.
fn lookup(value: &Value, name: &str) -> Value {
    let Some(object) = value.as_object() else {
        return Value::Null;
    };
    object
        .get(name)
        .or_else(|| {
            object
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
        .cloned()
        .unwrap_or_default()
}

fn call(name: &str, arguments: &[Value], standing: Standing) -> Result<Value, Error> {
    let text = |at: usize| arguments.get(at).map(text_of).unwrap_or_default();
    let lower = |at: usize| text(at).to_lowercase();
    Ok(match name {
        "always" => Value::Bool(true),
        "success" => Value::Bool(standing == Standing::Success),
        "failure" => Value::Bool(standing == Standing::Failure),
        "cancelled" => Value::Bool(standing == Standing::Cancelled),
        "contains" => Value::Bool(match arguments.first() {
            Some(Value::Array(list)) => list
                .iter()
                .any(|item| arguments.get(1).is_some_and(|wanted| equal(item, wanted))),
            _ => lower(0).contains(&lower(1)),
        }),
        "startsWith" => Value::Bool(lower(0).starts_with(&lower(1))),
        "endsWith" => Value::Bool(lower(0).ends_with(&lower(1))),
        "format" => {
            let filled = arguments
                .iter()
                .skip(1)
                .enumerate()
                .fold(text(0), |out, (at, value)| {
                    out.replace(&format!("{{{at}}}"), &text_of(value))
                });
            Value::String(filled)
        }
        "join" => {
            let glue = arguments.get(1).map_or_else(|| ",".to_owned(), text_of);
            let parts: Vec<String> = match arguments.first() {
                Some(Value::Array(list)) => list.iter().map(text_of).collect(),
                _ => vec![text(0)],
            };
            Value::String(parts.join(&glue))
        }
        "toJSON" => Value::String(
            serde_json::to_string_pretty(arguments.first().unwrap_or(&Value::Null))
                .unwrap_or_default(),
        ),
        "fromJSON" => serde_json::from_str(&text(0)).unwrap_or_default(),
        _ => return Err(Error::Function(name.to_owned())),
    })
}
