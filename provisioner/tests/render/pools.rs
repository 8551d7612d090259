//! What a pool's machines are launched with.

use super::*;

#[test]
fn launch_templates_leave_to_the_request_what_a_request_cannot_take_out_again() {
    for (_, environment, rendered) in rendered() {
        let templates = resources(
            &rendered.template(Stack::Runner).value,
            "AWS::EC2::LaunchTemplate",
        );
        assert_eq!(templates.len(), environment.pools.len());
        for properties in templates {
            let data = properties["LaunchTemplateData"].as_object().unwrap();
            for absent in [
                "NetworkInterfaces",
                "InstanceMarketOptions",
                "CreditSpecification",
                "TagSpecifications",
                "KeyName",
            ] {
                assert!(!data.contains_key(absent), "{absent}");
            }
            assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
            assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
            assert_eq!(data["InstanceInitiatedShutdownBehavior"], "terminate");
            // What the dispatcher's role may launch from is told by this tag.
            let tags = properties["TagSpecifications"][0]["Tags"]
                .as_array()
                .unwrap();
            assert!(
                tags.iter()
                    .any(|tag| tag["Key"] == environment.name.as_str())
            );
        }
    }
}

#[test]
fn nothing_reaches_a_runner_and_it_reaches_only_the_listed_ports() {
    let rendered = changed("", "").unwrap();
    let groups = resources(
        &rendered.template(Stack::Runner).value,
        "AWS::EC2::SecurityGroup",
    );
    assert_eq!(groups.len(), 1);
    assert!(groups[0].get("SecurityGroupIngress").is_none());
    let mut ports: Vec<i64> = groups[0]["SecurityGroupEgress"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            assert_eq!(rule["FromPort"], rule["ToPort"]);
            assert_eq!(rule["IpProtocol"], "tcp");
            rule["FromPort"].as_i64().unwrap()
        })
        .collect();
    ports.dedup();
    assert_eq!(ports, [443, 3000]);
}

#[test]
fn ubuntu_comes_by_canonicals_parameter_and_its_packages_over_a_port_of_their_own() {
    let image = "image = { ami = \"ami-0c1ab00000000c1ab\" }";
    let ubuntu = changed(image, "image = { stock = \"ubuntu\" }").unwrap();
    let template = &ubuntu.template(Stack::Runner).value;
    let launch = resources(template, "AWS::EC2::LaunchTemplate");
    assert_eq!(
        launch[0]["LaunchTemplateData"]["ImageId"],
        "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    );
    let group = resources(template, "AWS::EC2::SecurityGroup")[0];
    let rules = group["SecurityGroupEgress"].as_array().unwrap();
    let ports: Vec<i64> = rules
        .iter()
        .map(|rule| rule["FromPort"].as_i64().unwrap())
        .collect();
    assert_eq!(ports, [443, 443, 3000, 3000, 80, 80]);
    let dispatch = ubuntu.template(Stack::Dispatch).body.clone();
    assert!(dispatch.contains(":parameter/aws/service/canonical/ubuntu/"));
}

#[test]
fn no_pool_on_aws_starts_throttled() {
    let on_aws = environments().into_iter().filter(|(name, _)| name != "lab");
    for (name, environment) in on_aws {
        for pool in environment.pools {
            let pool = pool.document;
            let standard = Some(CpuCredits::Standard);
            assert_ne!(pool.cpu_credits, standard, "{name}: {}", pool.name);
        }
    }
}

#[test]
fn each_forges_machines_start_its_own_runner() {
    let source = |kind: &str| {
        let sum = "a".repeat(64);
        format!(
            "name = \"my-ci\"\nregion = \"eu-west-1\"\nmax_runners = 5\n\
             [forge]\nurl = \"https://git.example.com\"\nkind = \"{kind}\"\n\
             [runner]\nversion = \"13.1.0\"\n[runner.sha256]\nx86_64 = \"{sum}\"\n\
             [pool.base]\nimage = {{ stock = \"al2023\" }}\ninstance_types = [\"m7a.medium\"]\n\
             [pool.base.labels]\nlinux = \"host\"\n"
        )
    };
    for (kind, starts, downloads) in [
        (
            "gitea",
            "task=daemon",
            "https://dl.gitea.com/gitea-runner/13.1.0/gitea-runner-13.1.0-linux-amd64",
        ),
        (
            "forgejo",
            "task='one-job --wait'",
            "https://code.forgejo.org/forgejo/runner/releases/download/v13.1.0/\
             forgejo-runner-13.1.0-linux-amd64",
        ),
    ] {
        let environment = Environment::parse(&source(kind), std::path::Path::new(".")).unwrap();
        let script = &render::render(&environment).unwrap().user_data[0].script;
        assert!(script.contains(starts), "{script}");
        assert!(script.contains(downloads), "{script}");
        assert_eq!(script.contains("gitea-runner"), kind == "gitea", "{script}");
        assert!(script.contains("KillSignal=SIGKILL"), "{script}");
    }
}

#[test]
fn an_image_of_ours_is_named_by_its_parameter_which_the_function_may_read() {
    let source = "name = \"my-ci\"\nregion = \"eu-west-1\"\nmax_runners = 5\n\
                  [forge]\nurl = \"https://git.example.com\"\n\
                  [pool.base]\nimage = { name = \"go\" }\ninstance_types = [\"m7a.medium\"]\n\
                  [pool.base.labels]\nlinux = \"host\"\n";
    let environment = Environment::parse(source, std::path::Path::new(".")).unwrap();
    let rendered = render::render(&environment).unwrap();
    let runner = &rendered.template(Stack::Runner).body;
    assert!(
        runner.contains("resolve:ssm:/my-ci/ami/go/x86_64"),
        "{runner}"
    );
    let dispatch = &rendered.template(Stack::Dispatch).body;
    assert!(
        dispatch.contains(":parameter/my-ci/ami/go/x86_64"),
        "{dispatch}"
    );
    // Until it is built, it starts from a stock image.
    assert!(rendered.user_data[0].script.contains("gitea-runner-"));
}
