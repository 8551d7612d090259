//! Machines, one after the other, each by the path of a smoke test's: what each tells of its own boot.

use provisioner::smoke_test::{BootMark, Ends, SmokeTested, Stage};
use stacks::pool::{CapacityType, Pool};

use super::table::{Phase, Unit};
use super::{Asked, Measured};
use crate::error::Error;
use crate::smoke_test::{asked as smoke, dollars, market, one};
use crate::target::Target;
use crate::terminal::Stop;

/// The marks of a boot file, in the order of a boot.
const BOOT: &str = "boot";
const CREDENTIAL: &str = "credential";
const REGISTERED: &str = "registered";
const ONLINE: &str = "online";

/// Measures machines of one pool; one that did not come ends it.
pub async fn measure(
    target: &Target,
    pool: &Pool,
    asked: &Asked,
    stop: &Stop,
) -> Result<Measured, Error> {
    let spot = pool.capacity != CapacityType::OnDemand;
    let (all, warm) = asked.counts();
    let mut boots = Vec::new();
    let mut instance_type = String::new();
    let mut cents = 0.0;
    for number in 0..all {
        let tested = one(target, &smoke(pool, spot, Ends::WhenFound), stop).await?;
        if let Some((stage, why)) = &tested.failed {
            let why = format!("pool {}, {}: {why}", pool.name, stage.word());
            return Err(Error::Unmeasured(why));
        }
        if let Some((of_type, _)) = &tested.machine {
            cents += dollars(of_type, tested.lived_s()).unwrap_or_default() * 100.0;
            instance_type.clone_from(of_type);
        }
        if number >= warm {
            let boot = Boot::of(&tested).ok_or_else(|| {
                let why = format!(
                    "the boot file of pool {} tells no marks: deploy this version with `cargo xtask up` first",
                    pool.name
                );
                Error::Unmeasured(why)
            })?;
            boots.push(boot);
        }
    }
    let title = format!(
        "pool {}: {} machines ({instance_type}, {}) after {warm} to warm up; {cents:.2} cents at most",
        pool.name,
        boots.len(),
        market(spot),
    );
    Ok(Measured {
        title,
        phases: phases(&boots, target.lab),
    })
}

/// What it will cost at most, said before it begins.
pub fn price(pools: &[Pool], asked: &Asked) -> String {
    let (all, _) = asked.counts();
    // EC2 bills a minute at least; a machine is ended as soon as it has told what it found.
    let of_pool = |pool: &Pool| {
        let types = pool.instance_types.iter();
        let each = types.filter_map(|of_type| dollars(of_type, 120.0));
        each.fold(0.0, f64::max)
    };
    let count = f64::from(u32::try_from(all).unwrap_or(u32::MAX));
    let cents: f64 = pools.iter().map(of_pool).sum::<f64>() * count * 100.0;
    format!(
        "{all} machines of each of {} pools, one after the other, two minutes each: about {cents:.1} cents at \
         most, without disks and addresses",
        pools.len()
    )
}

/// One boot, in seconds after EC2's yes.
struct Boot {
    kernel: f64,
    user_data: f64,
    credential: f64,
    registered: f64,
    online: f64,
    connections: u64,
    bytes: u64,
}

impl Boot {
    fn of(tested: &SmokeTested) -> Option<Self> {
        let mark = |word: &str| tested.marks.iter().find(|mark| mark.word == word);
        let [boot, credential, registered, online] =
            [BOOT, CREDENTIAL, REGISTERED, ONLINE].map(mark);
        let (boot, online) = (boot?, online?);
        // The function notes a registration a moment before the machine reads of it: the one moment that both
        // clocks know.
        let mut stages = tested.seconds.iter();
        let (_, noted) = stages.find(|(stage, _)| *stage == Stage::Registered)?;
        let kernel = noted - registered?.after_s;
        let at = |mark: &BootMark| kernel + mark.after_s;
        Some(Self {
            kernel,
            user_data: at(boot),
            credential: at(credential?),
            registered: at(registered?),
            online: at(online),
            connections: online.connections.saturating_sub(boot.connections),
            bytes: online.bytes.saturating_sub(boot.bytes),
        })
    }
}

/// The lab's machines have the uptime of their host: nothing is said of their kernels.
fn phases(boots: &[Boot], is_lab: bool) -> Vec<Phase> {
    let all = |value: fn(&Boot) -> f64| boots.iter().map(value).collect::<Vec<_>>();
    let mut phases = if is_lab {
        vec![Phase::part(
            "EC2's yes → user-data (the lab's, not EC2's)",
            all(|boot| boot.user_data),
        )]
    } else {
        vec![
            Phase::part("EC2's yes → kernel", all(|boot| boot.kernel)),
            Phase::part(
                "kernel → user-data",
                all(|boot| boot.user_data - boot.kernel),
            ),
        ]
    };
    phases.extend([
        Phase::part(
            "user-data → credential asked",
            all(|boot| boot.credential - boot.user_data),
        ),
        Phase::part(
            "credential asked → registered",
            all(|boot| boot.registered - boot.credential),
        ),
        Phase::part(
            "registered → runner online",
            all(|boot| boot.online - boot.registered),
        ),
        Phase::sum(
            "user-data → runner online",
            all(|boot| boot.online - boot.user_data),
        ),
        Phase::sum("EC2's yes → runner online", all(|boot| boot.online)),
        Phase::counted(
            "connections opened from user-data to online",
            Unit::Count,
            all(|boot| figure(boot.connections)),
        ),
        Phase::counted(
            "received meanwhile",
            Unit::Kilobytes,
            all(|boot| figure(boot.bytes) / 1000.0),
        ),
    ]);
    phases
}

#[expect(
    clippy::cast_precision_loss,
    reason = "connections and bytes of one boot"
)]
fn figure(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(marks: &[(&str, f64, u64)]) -> SmokeTested {
        let marks = marks.iter().map(|(word, after_s, bytes)| BootMark {
            word: (*word).to_owned(),
            after_s: *after_s,
            connections: *bytes / 1000,
            bytes: *bytes,
        });
        SmokeTested {
            pool: "base".to_owned(),
            spot: true,
            machine: None,
            seconds: vec![(Stage::Launched, 0.0), (Stage::Registered, 12.5)],
            marks: marks.collect(),
            found: Vec::new(),
            end: None,
            refused: false,
            failed: None,
        }
    }

    #[test]
    fn the_marks_of_a_boot_lie_where_the_function_noted_the_registration() {
        let marks = [
            ("boot", 3.0, 1_000),
            ("credential", 3.25, 5_000),
            ("registered", 4.0, 20_000),
            ("online", 4.5, 24_000),
        ];
        let boots = [Boot::of(&tested(&marks)).unwrap()];
        let p50 = |is_lab: bool, name: &str| {
            let phases = phases(&boots, is_lab);
            let phase = phases.iter().find(|phase| phase.name == name);
            phase.map(Phase::p50)
        };
        for (name, figure) in [
            ("EC2's yes → kernel", 8.5),
            ("kernel → user-data", 3.0),
            ("user-data → credential asked", 0.25),
            ("credential asked → registered", 0.75),
            ("user-data → runner online", 1.5),
            ("EC2's yes → runner online", 13.0),
            ("connections opened from user-data to online", 23.0),
            ("received meanwhile", 23.0),
        ] {
            assert_eq!(p50(false, name), Some(figure), "{name}");
        }
        assert_eq!(p50(true, "EC2's yes → kernel"), None);
        assert!(Boot::of(&tested(&marks[..3])).is_none());
    }
}
