//! The alarms: each says what is wrong and where to look.

use serde::Serialize;
use serde_json::{Value, json};
use stacks::names::{self, Names};

use crate::environment::Environment;

/// Shortest period in which one event of a kind is worth a mail, in seconds.
const PERIOD_S: u32 = 300;

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
    ];
    json!(alarms)
}

/// Finds the tick's line that says how long jobs have waited.
pub(super) fn waiting_pattern() -> String {
    format!("{{ $.{} >= 0 }}", names::LOG_OLDEST_WAITING_S)
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
        namespace: names.name.clone(),
        metric: names::METRIC_OLDEST_WAITING,
        dimension: None,
        statistic: "Maximum",
        period_s: environment.tick_minutes * 60,
        comparison: "GreaterThanThreshold",
        threshold: minutes * 60,
        missing: "notBreaching",
        rings_when_silent: false,
    }
}
