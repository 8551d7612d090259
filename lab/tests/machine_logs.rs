//! Last words of machines: they reach the log group that their role allows, and no other. Signed and sent by
//! the boot file's own `curl`, as on AWS.

mod support;

use support::Bench;

/// `say` asks for the operation `$3` of the stream `$1`, signed for the service `$2`, with `$4` beside the
/// stream's name, and says what was answered.
const SCRIPT: &str = r#"#!/bin/sh
imds=http://169.254.169.254/latest
token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
get() { curl -fsS -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/$1"; }
keys=$(get iam/security-credentials/lab-ci-runner)
field() { printf '%s' "$keys" | sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'; }
say() {
  curl -sS -m 10 --aws-sigv4 "aws:amz:eu-west-1:$2" --user "$(field AccessKeyId):$(field SecretAccessKey)" \
    -H "x-amz-security-token: $(field Token)" -H 'Content-Type: application/x-amz-json-1.1' \
    -H "X-Amz-Target: Logs_20140328.$3" -w ' %{http_code}' https://logs.eu-west-1.amazonaws.com/ \
    --data-binary '{"logGroupName":"/lab-ci/machines","logStreamName":"'"$1"'"'"$4"'}'
}
events=',"logEvents":[{"timestamp":'"$(date +%s%3N)"',"message":"last words"}]'
echo "own: $(say base logs PutLogEvents "$events")"
echo "other: $(say other logs PutLogEvents "$events")"
echo "service: $(say base execute-api PutLogEvents "$events")"
echo "operation: $(say base logs DeleteLogStream '')"
poweroff -f
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_says_its_last_words_where_its_role_allows_it_and_nowhere_else() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let file = bench.lab.file();
    let config = support::sdk_config(file, &file.aws_endpoint);
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    let group = "/lab-ci/machines";
    let made = logs.create_log_group().log_group_name(group);
    made.send().await.unwrap();
    for stream in ["base", "other"] {
        let made = logs.create_log_stream().log_group_name(group);
        made.log_stream_name(stream).send().await.unwrap();
    }
    let id = bench.boot(SCRIPT).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let answer = |word: &str| {
        let line = console.lines().find(|line| line.starts_with(word));
        line.unwrap_or_else(|| panic!("no {word}: {console}"))
    };
    assert!(answer("own: ").ends_with(" 200"), "{console}");
    for (word, error) in [
        ("other: ", "AccessDeniedException"),
        ("service: ", "UnrecognizedClientException"),
        ("operation: ", "UnknownOperationException"),
    ] {
        let said = answer(word);
        assert!(said.contains(error) && said.ends_with(" 400"), "{said}");
    }
    for (stream, expected) in [("base", 1), ("other", 0)] {
        let asked = logs.get_log_events().log_group_name(group);
        let found = asked.log_stream_name(stream).send().await.unwrap();
        let words: Vec<&str> = found
            .events()
            .iter()
            .filter_map(|it| it.message())
            .collect();
        assert_eq!(words, vec!["last words"; expected], "{stream}");
    }
    bench.down().await;
}
