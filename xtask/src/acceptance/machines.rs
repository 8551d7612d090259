//! The steps that launch a machine, each within the bound of money.

use provisioner::smoke_test::{Ends, SmokeTested};
use stacks::pool::Pool;

use super::report::Outcome;
use super::{Asked, Seen, Trial, in_lab};
use crate::smoke_test::{self, dollars, markets};

/// How many times the price in eu-west-1 a machine may cost elsewhere, for the bound.
const MARGIN: f64 = 2.0;
/// The limit of the machine that is swept, in minutes: the least that there is.
const SWEPT_MINUTES: u32 = 1;

impl Trial<'_> {
    /// One machine, if the bound has room for it beside what was `spent`.
    pub(super) async fn machine(self, spent: f64, pool: &Pool, spot: bool, ends: Ends) -> Seen {
        let asked = smoke_test::asked(pool, spot, ends);
        let most_s = asked.most(self.target.deployment.environment.tick());
        let an_hour = hour(pool, self.asked).unwrap_or(f64::MAX);
        let most = an_hour * MARGIN * most_s.as_secs_f64() / 3600.0;
        if spent + most > self.asked.max_dollars {
            return Seen::not_run(&format!(
                "it might have cost {most:.4} dollars beside {spent:.4}, more than --max-dollars {}",
                self.asked.max_dollars
            ));
        }
        let tested = match smoke_test::one(self.target, &asked, self.stop).await {
            Ok(tested) => tested,
            // A machine may have come, and nobody has seen its end.
            Err(error) => {
                return Seen {
                    dollars: most,
                    ..error.into()
                };
            }
        };
        let mut lines = smoke_test::lines(&tested);
        if let Some((stage, why)) = &tested.failed {
            lines.push(format!("{} failed: {why}", stage.word()));
        }
        Seen {
            dollars: cost(&tested, self.asked.usd_per_hour, most),
            ..Seen::of(tested.failed.is_none(), lines)
        }
    }

    /// EC2 takes a Spot machine back.
    pub(super) async fn interruption(self, spent: f64) -> Seen {
        let Some(pool) = self.pools.iter().find(|pool| markets(pool)[0]) else {
            return Seen::not_run("no pool buys Spot machines");
        };
        self.machine(spent, pool, true, Ends::ByInterruption).await
    }

    /// A machine whose limit is a minute is ended by the sweep.
    pub(super) async fn sweep(self, spent: f64) -> Seen {
        let cheapest = self.pools.iter().min_by(|one, other| {
            let hour = |pool| hour(pool, self.asked).unwrap_or(f64::MAX);
            hour(one).total_cmp(&hour(other))
        });
        let Some(pool) = cheapest else {
            return Seen::not_run("there is no pool");
        };
        if let Err(error) = in_lab::age(self.target, in_lab::AGE_S).await {
            return error.into();
        }
        let ends = Ends::BySweep(SWEPT_MINUTES);
        let mut seen = self.machine(spent, pool, markets(pool)[0], ends).await;
        if let Err(error) = in_lab::age(self.target, 0).await {
            return error.into();
        }
        if self.target.lab && seen.outcome != Outcome::NotRun {
            let age_s = in_lab::AGE_S;
            let line =
                format!("in the lab the machine said that it was {age_s} s old when it came");
            seen.lines.push(line);
        }
        seen
    }
}

/// What an hour of the pool's dearest type costs, in dollars, if that is known.
pub(super) fn hour(pool: &Pool, asked: &Asked) -> Option<f64> {
    let mut types = pool.instance_types.iter();
    types.try_fold(0.0_f64, |dearest, name| {
        let own = lab::on_demand_usd_per_hour(name).or(asked.usd_per_hour)?;
        Some(dearest.max(own))
    })
}

/// What the machine cost at most, in dollars: `most` where nobody has seen its end.
fn cost(tested: &SmokeTested, usd_per_hour: Option<f64>, most: f64) -> f64 {
    match &tested.machine {
        _ if tested.refused => 0.0,
        Some((kind, _)) if tested.is_gone() => {
            let lived_s = tested.lived_s();
            let unknown = || usd_per_hour.map(|an_hour| an_hour * lived_s / 3600.0);
            let price = dollars(kind, lived_s).or_else(unknown);
            price.map_or(most, |price| price * MARGIN)
        }
        Some(_) | None => most,
    }
}

#[cfg(test)]
mod tests {
    use provisioner::smoke_test::Stage;

    use super::*;

    #[test]
    fn a_machine_whose_end_nobody_saw_costs_all_that_it_might() {
        let gone = SmokeTested {
            pool: "base".to_owned(),
            spot: false,
            machine: Some(("t3.small".to_owned(), "i-1".to_owned())),
            seconds: vec![(Stage::Launched, 0.0), (Stage::Gone, 3600.0)],
            marks: Vec::new(),
            found: Vec::new(),
            end: None,
            refused: false,
            failed: None,
        };
        let an_hour = lab::on_demand_usd_per_hour("t3.small").unwrap();
        let is_about = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_about(cost(&gone, None, 9.0), an_hour * MARGIN));
        let other = SmokeTested {
            machine: Some(("x9.small".to_owned(), "i-1".to_owned())),
            ..gone.clone()
        };
        assert!(is_about(cost(&other, Some(2.0), 9.0), 2.0 * MARGIN));
        let left = SmokeTested {
            seconds: vec![(Stage::Launched, 0.0), (Stage::Found, 30.0)],
            ..gone.clone()
        };
        let unseen = SmokeTested {
            machine: None,
            ..left.clone()
        };
        let refused = SmokeTested {
            refused: true,
            ..unseen.clone()
        };
        for (tested, dollars) in [(left, 9.0), (unseen, 9.0), (refused, 0.0)] {
            assert!(is_about(cost(&tested, None, 9.0), dollars), "{tested:?}");
        }
    }
}
