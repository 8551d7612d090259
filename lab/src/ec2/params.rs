//! The Query protocol's parameters, as a set that handlers empty: what nobody took is unknown, and
//! unknown parameters are errors, as with EC2.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::ec2::api_error::ApiError;

/// More than any request of ours has, by far.
const PARAMETERS_MAX: usize = 2000;

/// Parameters that nobody has taken yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(BTreeMap<String, String>);

/// A filter of a Describe call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

impl Params {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if all.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(ApiError::value(&name, "given twice"));
            }
        }
        if all.len() > PARAMETERS_MAX {
            return Err(ApiError::client(
                "InvalidParameter",
                "too many parameters in one request",
            ));
        }
        Ok(Self(all))
    }

    /// Everything in one line: two requests with the same line are the same request.
    pub(crate) fn fingerprint(&self) -> String {
        let mut line = form_urlencoded::Serializer::new(String::new());
        line.extend_pairs(self.0.iter().filter(|(name, _)| *name != "ClientToken"));
        line.finish()
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn require(&mut self, name: &str) -> Result<String, ApiError> {
        self.take(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(crate) fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        self.take(name)
            .map(|value| value.parse().map_err(|_| ApiError::value(name, &value)))
            .transpose()
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(ApiError::value(name, other)),
        }
    }

    /// The value of `name`, which must be one of `allowed`.
    pub(crate) fn choice(
        &mut self,
        name: &str,
        allowed: &[&str],
    ) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            Some(value) if !allowed.contains(&value.as_str()) => Err(ApiError::value(name, &value)),
            value => Ok(value),
        }
    }

    /// `name.1`, `name.2` and so on.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        (1..=PARAMETERS_MAX)
            .map_while(|index| self.take(&format!("{name}.{index}")))
            .collect()
    }

    /// `name.1.…`, `name.2.…` and so on, each without its prefix.
    pub(crate) fn groups(&mut self, name: &str) -> Vec<Self> {
        (1..=PARAMETERS_MAX)
            .map(|index| self.group(&format!("{name}.{index}")))
            .take_while(|group| !group.0.is_empty())
            .collect()
    }

    /// `name.…` without its prefix.
    pub(crate) fn group(&mut self, name: &str) -> Self {
        let prefix = format!("{name}.");
        let (inside, outside) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, _)| name.starts_with(&prefix));
        self.0 = outside;
        let inside: BTreeMap<String, String> = inside;
        Self(
            inside
                .into_iter()
                .map(|(name, value)| (name[prefix.len()..].to_owned(), value))
                .collect(),
        )
    }

    pub(crate) fn filters(&mut self) -> Result<Vec<Filter>, ApiError> {
        self.groups("Filter")
            .into_iter()
            .map(|mut group| {
                let name = group.require("Name")?;
                let values = group.list("Value");
                group.finish()?;
                Ok(Filter { name, values })
            })
            .collect()
    }

    /// Every parameter must have been taken by now.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::client(
                "UnknownParameter",
                format!("The parameter {name} is not recognized"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_unknown() {
        let mut params = Params::parse(b"A=1&B.1=x&B.2=y&C.1.K=k&C.1.V=v&D=true").unwrap();
        assert_eq!(params.number::<u32>("A").unwrap(), Some(1));
        assert_eq!(params.list("B"), ["x", "y"]);
        let mut group = params.groups("C").remove(0);
        assert_eq!(group.take("K").as_deref(), Some("k"));
        assert_eq!(group.finish().unwrap_err().code, "UnknownParameter");
        assert_eq!(
            params.clone().finish().unwrap_err().code,
            "UnknownParameter"
        );
        assert!(params.flag("D").unwrap());
        params.finish().unwrap();
    }

    #[test]
    fn the_token_is_no_part_of_the_fingerprint() {
        let one = Params::parse(b"A=1&ClientToken=t1&B=2").unwrap();
        let same = Params::parse(b"B=2&A=1&ClientToken=t2").unwrap();
        let other = Params::parse(b"B=2&A=2&ClientToken=t1").unwrap();
        assert_eq!(one.fingerprint(), same.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        let mut params = Params::parse(b"N=x&F=maybe&C=z").unwrap();
        assert_eq!(
            params.number::<u32>("N").unwrap_err().code,
            "InvalidParameterValue"
        );
        assert_eq!(params.flag("F").unwrap_err().code, "InvalidParameterValue");
        assert!(params.choice("C", &["a"]).is_err());
        assert!(Params::parse(b"A=1&A=2").is_err());
    }
}
