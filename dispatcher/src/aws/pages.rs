//! Lists that AWS gives in pages. A page may be short or empty and still not the last: services cut a
//! list before they filter it. So what bounds a list is what was found and the time that it took, never
//! the number of its pages; and where the page after a page is that page again, it would not end.

use std::time::Duration;

use tokio::time::Instant;

use super::Failure;

/// Longest time for one list: below the 30 seconds that API Gateway grants an answer. An account with as
/// many parameters as AWS allows (10,000) has a thousand pages, at some 15 ms each.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// How far a list was read.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    call: &'static str,
    /// Most that may be found, and of what.
    found_max: (usize, &'static str),
    begun: Instant,
    token: Option<T>,
}

impl<T: Clone + PartialEq> Pages<T> {
    /// The list of `call`, in which so many of something may be found.
    pub(crate) fn of(call: &'static str, found_max: (usize, &'static str)) -> Self {
        Self {
            call,
            found_max,
            begun: Instant::now(),
            token: None,
        }
    }

    /// Where the next page begins; `None` for the first.
    pub(crate) fn token(&self) -> Option<T> {
        self.token.clone()
    }

    /// Whether the page that was read is the last: it says where the next one begins, and so much was
    /// `found` so far. A list that can't be read to its end is a failure; half of one would be taken
    /// for all of it.
    pub(crate) fn is_last(&mut self, next: Option<T>, found: usize) -> Result<bool, Failure> {
        let Some(next) = next else { return Ok(true) };
        let (found_max, unit) = self.found_max;
        let message = if found > found_max {
            format!("the list has more than {found_max} {unit}")
        } else if self.token.as_ref() == Some(&next) {
            "a page of the list leads to itself".to_owned()
        } else if self.begun.elapsed() > LIST_TIMEOUT {
            let seconds = LIST_TIMEOUT.as_secs();
            format!("after {seconds} s the list had not ended, with {found} {unit} found")
        } else {
            self.token = Some(next);
            return Ok(false);
        };
        Err(Failure::new(self.call, "too-much", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(found_max: usize) -> Pages<usize> {
        Pages::of("service:List", (found_max, "entries"))
    }

    #[test]
    fn empty_pages_exhaust_nothing() {
        let mut pages = pages(3);
        for next in 0..10_000 {
            assert!(!pages.is_last(Some(next), 0).unwrap());
            assert_eq!(pages.token(), Some(next));
        }
        assert!(pages.is_last(None, 3).unwrap());
    }

    #[test]
    fn a_list_that_does_not_end_is_a_failure() {
        let mut full = pages(3);
        assert!(!full.is_last(Some(1), 3).unwrap());
        assert!(full.is_last(Some(2), 4).is_err());
        let mut circle = pages(3);
        assert!(!circle.is_last(Some(1), 0).unwrap());
        let failure = circle.is_last(Some(1), 0).unwrap_err();
        assert!(failure.to_string().contains("leads to itself"), "{failure}");
        let mut slow = pages(3);
        slow.begun = Instant::now().checked_sub(LIST_TIMEOUT * 2).unwrap();
        assert!(slow.is_last(Some(1), 0).is_err());
        assert!(slow.is_last(None, 0).unwrap(), "it has ended after all");
    }
}
