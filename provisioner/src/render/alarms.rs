//! The alarms, each of which says what is wrong and where to look, and the metrics of our own that some read.

use serde::Serialize;
use serde_json::{Value, json};
use stacks::images::{BOOT_FAILURES_MAX, OLD_DAYS};
use stacks::names::{self, Names};

use crate::environment::Environment;

/// Shortest period in which one event of a kind is worth a mail, in seconds.
const PERIOD_S: u32 = 300;
/// Period of what is told at each tick and changes by the day, in seconds: longer than any tick.
const DAILY_PERIOD_S: u32 = 86_400;

#[derive(Serialize)]
struct Alarm {
    id: &'static str,
    name: String,
    description: String,
    namespace: String,
    metric: &'static str,
    /// Name and value; a metric of our own has the whole namespace to itself.
    dimension: Option<(&'static str, Value)>,
    statistic: &'static str,
    period_s: u32,
    comparison: &'static str,
    threshold: u32,
    /// What silence means.
    missing: &'static str,
    /// Whether silence is what it is for.
    rings_when_silent: bool,
}

/// The alarms of that environment.
pub(super) fn alarms(environment: &Environment, names: &Names) -> Value {
    let alarms = [
        function(
            names,
            ("ErrorsAlarm", "errors", "Errors"),
            "An invocation of the dispatcher failed: see its log.",
        ),
        function(
            names,
            ("ThrottlesAlarm", "throttles", "Throttles"),
            "Lambda refused invocations: the account's concurrency is used up.",
        ),
        Alarm {
            namespace: "AWS/ApiGateway".to_owned(),
            dimension: Some(("ApiId", json!({"Ref": names::PARAM_API_ID}))),
            ..function(
                names,
                ("AnswersAlarm", "answers", "5xx"),
                "Deliveries or runners were answered 5xx: a job may not be recorded.",
            )
        },
        silence(environment, names),
        waiting(environment, names),
        boot_failures(names),
        old_image(names),
    ];
    json!(alarms)
}

/// The metrics that filters make of fields of the log: each field is in the lines that tell of it alone, so that
/// where there is nothing to tell there is no metric to pay for.
pub(super) fn metrics() -> Value {
    let metrics = [
        (
            "OldestWaiting",
            names::LOG_OLDEST_WAITING_S,
            names::METRIC_OLDEST_WAITING,
        ),
        (
            "BootFailures",
            names::LOG_BOOT_FAILURES,
            names::METRIC_BOOT_FAILURES,
        ),
        (
            "ImageAge",
            names::LOG_IMAGE_AGE_DAYS,
            names::METRIC_IMAGE_AGE,
        ),
    ];
    let metric = |(id, field, metric): (&str, &str, &str)| {
        json!({
            "id": id,
            "name": metric,
            "value": format!("$.{field}"),
            "pattern": format!("{{ $.{field} >= 0 }}"),
        })
    };
    metrics.map(metric).into_iter().collect()
}

fn function(
    names: &Names,
    (id, name, metric): (&'static str, &str, &'static str),
    description: &str,
) -> Alarm {
    Alarm {
        id,
        name: format!("{}-{name}", names.function),
        description: description.to_owned(),
        namespace: "AWS/Lambda".to_owned(),
        metric,
        dimension: Some(("FunctionName", json!(names.function))),
        statistic: "Sum",
        period_s: PERIOD_S,
        comparison: "GreaterThanOrEqualToThreshold",
        threshold: 1,
        missing: "notBreaching",
        rings_when_silent: false,
    }
}

/// Three ticks without one: a single late tick wakes nobody. Without data the state is
/// `INSUFFICIENT_DATA`, which rings when it is entered: not when the alarm is made, since it begins so.
fn silence(environment: &Environment, names: &Names) -> Alarm {
    Alarm {
        id: "TickAlarm",
        name: format!("{}-no-tick", names.function),
        description: "The schedule is silent: nothing ends what is over its limit.".to_owned(),
        namespace: "AWS/Scheduler".to_owned(),
        metric: "InvocationAttemptCount",
        dimension: Some(("ScheduleGroup", json!(names.name))),
        statistic: "Sum",
        period_s: PERIOD_S.max(environment.tick_minutes * 3 * 60),
        comparison: "LessThanThreshold",
        threshold: 1,
        missing: "missing",
        rings_when_silent: true,
    }
}

/// One tick that finds a job over its time is enough: it says how long that has waited. No line
/// means that nothing waits; a tick that says nothing at all has its own alarm.
fn waiting(environment: &Environment, names: &Names) -> Alarm {
    let minutes = environment.waiting_alarm_minutes;
    Alarm {
        id: "WaitingAlarm",
        name: format!("{}-waiting", names.function),
        description: format!(
            "A job waits for a machine for more than {minutes} minutes: caps, capacity or a boot \
             that fails; see the lines `job waits` and `job refused` in the log."
        ),
        metric: names::METRIC_OLDEST_WAITING,
        statistic: "Maximum",
        period_s: environment.tick_minutes * 60,
        comparison: "GreaterThanThreshold",
        threshold: minutes * 60,
        ..of_log(names)
    }
}

/// What alarms over a metric of our own have in common with one of the function's: no line, nothing wrong.
fn of_log(names: &Names) -> Alarm {
    Alarm {
        namespace: names.name.clone(),
        dimension: None,
        ..function(names, ("", "", ""), "")
    }
}

/// The line is written once, when what there was to do about it is done.
fn boot_failures(names: &Names) -> Alarm {
    Alarm {
        id: "BootFailuresAlarm",
        name: format!("{}-image", names.function),
        description: format!(
            "{BOOT_FAILURES_MAX} machines of a new image did not come up, and none had: see `machines of a new \
             image do not come up` in the log, which says whether the one before was put back."
        ),
        metric: names::METRIC_BOOT_FAILURES,
        statistic: "Sum",
        period_s: PERIOD_S,
        comparison: "GreaterThanOrEqualToThreshold",
        threshold: 1,
        ..of_log(names)
    }
}

fn old_image(names: &Names) -> Alarm {
    Alarm {
        id: "ImageAgeAlarm",
        name: format!("{}-image-age", names.function),
        description: format!(
            "An image is {OLD_DAYS} days old or older and lacks the updates since: `cargo xtask ami build --all`."
        ),
        metric: names::METRIC_IMAGE_AGE,
        statistic: "Maximum",
        period_s: DAILY_PERIOD_S,
        comparison: "GreaterThanOrEqualToThreshold",
        threshold: u32::try_from(OLD_DAYS).unwrap_or(u32::MAX),
        ..of_log(names)
    }
}
