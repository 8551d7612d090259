//! From the file's tables to an [`Environment`].
//!
//! A value that is wrong leaves a problem and a default in its place; the default never escapes,
//! because a document with problems yields nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use stacks::names::NAME_MAX_CHARS;
use stacks::pool::ForgeKind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Problem, Problems, Section};
use super::{
    Arch, Dispatcher, EgressPort, Environment, Forge, Network, Permissions, check, pool, runner,
    syntax,
};

/// Minutes that a job waits before the alarm goes off, unless the file says otherwise: three boots
/// that fail take about as long, and then the job is given up.
const WAITING_ALARM_MINUTES: u32 = 15;
/// Most such minutes: after a day the forge itself gives a waiting job up.
const WAITING_ALARM_MAX_MINUTES: u32 = 24 * 60;
/// Most tags of one's own: AWS takes 50 on a stack, and a few are ours.
const TAGS_MAX: usize = 40;
const NOT_AN_ADDRESS: &str = "must be http:// or https://, a host and perhaps a port and a path, \
                              and hold no user or token";

/// Most bytes of a standard parameter, where the CA goes.
const PARAMETER_MAX_BYTES: usize = 4096;

pub(super) fn environment(source: &str, folder: &Path) -> Result<Environment, Vec<Problem>> {
    let problems = Problems::new(source);
    let (document, syntax_errors) = DeTable::parse_recoverable(source);
    for error in syntax_errors {
        let line = problems.line_at(error.span().map_or(0, |span| span.start));
        problems.add(line, error.message());
    }
    let environment = read(&problems, document.get_ref(), folder);
    let found = problems.into_sorted();
    if found.is_empty() {
        Ok(environment)
    } else {
        Err(found)
    }
}

fn read<'s>(problems: &Problems<'s>, document: &DeTable<'s>, folder: &Path) -> Environment {
    let mut root = Section::root(problems, document);
    let name = name(&mut root);
    let forge = forge(&mut root, folder);
    let mut environment = Environment {
        account_id: account_id(&mut root),
        region: region(&mut root),
        notify: notify(&mut root),
        tick_minutes: root.number("tick_minutes", 1..=60, 1),
        waiting_alarm_minutes: root.number(
            "waiting_alarm_minutes",
            1..=WAITING_ALARM_MAX_MINUTES,
            WAITING_ALARM_MINUTES,
        ),
        permissions_boundary: boundary(&mut root),
        trust_all_repositories: root.boolean("trust_all_repositories", false),
        max_runners: root
            .required_number("max_runners", 1..=pool::RUNNERS_MAX)
            .unwrap_or(pool::RUNNERS_MAX),
        tags: tags(&mut root, &name),
        dispatcher: dispatcher(&mut root),
        network: network(&mut root),
        runner: runner::of(&mut root, forge.kind),
        forge,
        permissions: permissions(&mut root),
        pools: Vec::new(),
        name,
    };
    let pools = pool::all(&mut root, environment.max_runners);
    check::pools(problems, &environment, &pools);
    environment.pools = pools.into_iter().map(|found| found.pool).collect();
    root.finish();
    environment
}

fn name(root: &mut Section<'_, '_>) -> String {
    let name = root.required_string("name").unwrap_or_default();
    if name.is_empty() {
        root.problem("name", "must not be empty");
    } else if name.chars().count() > NAME_MAX_CHARS {
        root.problem(
            "name",
            format_args!(
                "has {} characters and may have {NAME_MAX_CHARS}: buckets and roles are \
             named after it, and AWS allows no more",
                name.chars().count()
            ),
        );
    } else if !syntax::is_name(&name, NAME_MAX_CHARS) {
        root.problem(
            "name",
            "must be lower-case letters, digits and single dashes, beginning with a letter",
        );
    } else if name.starts_with("aws") || name.starts_with("ssm") {
        root.problem(
            "name",
            "may not begin with aws or ssm: AWS keeps those for its own parameters",
        );
    }
    name
}

fn account_id(root: &mut Section<'_, '_>) -> Option<String> {
    let account = root.string("account_id")?;
    if !syntax::is_account(&account) {
        root.problem(
            "account_id",
            "must be the twelve digits of an account, in quotes",
        );
    }
    Some(account)
}

fn region(root: &mut Section<'_, '_>) -> String {
    let region = root.required_string("region").unwrap_or_default();
    if !region.is_empty() && !syntax::is_region(&region) {
        root.problem("region", "must be a region such as eu-west-1");
    } else if region.starts_with("cn-") {
        root.problem(
            "region",
            "is in China, which has another domain than the machines and images of this program know",
        );
    }
    region
}

fn notify(root: &mut Section<'_, '_>) -> Option<String> {
    let address = root.string("notify")?;
    let is_mail = address.split_once('@').is_some_and(|(user, host)| {
        syntax::is_word(user, ".+_-", 64) && syntax::is_word(host, ".-", 253)
    });
    if !is_mail {
        root.problem("notify", "must be a mail address");
    }
    Some(address)
}

fn boundary(root: &mut Section<'_, '_>) -> Option<String> {
    let arn = root.string("permissions_boundary")?;
    if !arn.starts_with("arn:aws")
        || !arn.contains(":policy/")
        || !syntax::is_word(&arn, ":/-_+=,.@", 2048)
    {
        root.problem(
            "permissions_boundary",
            "must be the ARN of a policy, arn:aws:iam::ACCOUNT:policy/NAME",
        );
    }
    Some(arn)
}

fn tags(root: &mut Section<'_, '_>, name: &str) -> BTreeMap<String, String> {
    let Some(mut section) = root.section("tags") else {
        return BTreeMap::new();
    };
    let mut tags = BTreeMap::new();
    for (key, value) in section.entries() {
        if key == name || key.starts_with(&format!("{name}:")) {
            section.problem(&key, "is the deployment's own tag");
        } else if key.starts_with("aws:") || !syntax::is_word(&key, "+-=._:/@ ", 128) {
            section.problem(&key, "is no tag key that AWS takes");
        } else if !(value.is_empty() || syntax::is_word(&value, "+-=._:/@ ", 256)) {
            section.problem(
                &key,
                "must be at most 256 letters, digits, spaces and _.:/=+-@, which is what IAM takes",
            );
        }
        tags.insert(key, value);
    }
    if tags.len() > TAGS_MAX {
        root.problem("tags", format_args!("may be {TAGS_MAX} at most"));
    }
    tags
}

fn forge(root: &mut Section<'_, '_>, folder: &Path) -> Forge {
    let mut forge = Forge {
        url: String::new(),
        root_url: None,
        port: 443,
        kind: ForgeKind::Gitea,
        accept_reusable_credentials: false,
        poll_after_events: true,
        ca: None,
    };
    let Some(mut section) = root.section("forge") else {
        root.problem("forge", "is missing: [forge] says where the forge is");
        return forge;
    };
    if let Some(url) = section.required_string("url") {
        url.trim_end_matches('/').clone_into(&mut forge.url);
        match syntax::forge_port(&forge.url) {
            Some(port) => forge.port = port,
            None => section.problem("url", NOT_AN_ADDRESS),
        }
    }
    if let Some(url) = section.string("root_url") {
        let url = url.trim_end_matches('/').to_owned();
        match syntax::forge_port(&url) {
            Some(_) => forge.root_url = Some(url),
            None => section.problem("root_url", NOT_AN_ADDRESS),
        }
    }
    if let Some(kind) = section.string("kind") {
        match kind.as_str() {
            "gitea" => {}
            "forgejo" => forge.kind = ForgeKind::Forgejo,
            _ => section.problem("kind", "must be gitea or forgejo"),
        }
    }
    forge.accept_reusable_credentials = section.boolean("accept_reusable_credentials", false);
    forge.poll_after_events = section.boolean("poll_after_events", true);
    forge.ca = certificate(&mut section, folder);
    section.finish();
    forge
}

fn certificate(section: &mut Section<'_, '_>, folder: &Path) -> Option<String> {
    let path = folder.join(section.string("ca")?);
    match std::fs::read_to_string(&path) {
        Err(error) => section.problem(
            "ca",
            format_args!("cannot read {}: {error}", path.display()),
        ),
        Ok(pem) if pem.contains("PRIVATE KEY") => {
            section.problem(
                "ca",
                "holds a private key; name a file with the certificate alone",
            );
        }
        Ok(pem) if !pem.contains("-----BEGIN CERTIFICATE-----") => {
            section.problem("ca", "must be a file with a certificate as PEM");
        }
        Ok(pem) if pem.len() > PARAMETER_MAX_BYTES => {
            section.problem(
                "ca",
                format_args!("has {} bytes and may have {PARAMETER_MAX_BYTES}", pem.len()),
            );
        }
        Ok(pem) => return Some(pem.trim().to_owned()),
    }
    None
}

fn dispatcher(root: &mut Section<'_, '_>) -> Dispatcher {
    let mut dispatcher = Dispatcher {
        memory_mb: 256,
        arch: Arch::X86_64,
    };
    if let Some(mut section) = root.section("dispatcher") {
        dispatcher.memory_mb = section.number("memory_mb", 128..=10_240, dispatcher.memory_mb);
        dispatcher.arch = syntax::arch(&mut section);
        section.finish();
    }
    dispatcher
}

fn network(root: &mut Section<'_, '_>) -> Network {
    let mut network = Network {
        vpc: None,
        subnets: Vec::new(),
        assign_public_ip: true,
        egress: Vec::new(),
    };
    let Some(mut section) = root.section("network") else {
        return network;
    };
    network.vpc = section.string("vpc");
    let is_no_vpc = |vpc: &String| !syntax::is_ec2_id(vpc, "vpc-");
    if network.vpc.as_ref().is_some_and(is_no_vpc) {
        section.problem("vpc", "must be the id of a VPC, vpc-…");
    }
    network.subnets = section.strings("subnets");
    let is_no_subnet = |subnet: &String| !syntax::is_ec2_id(subnet, "subnet-");
    if network.subnets.iter().any(is_no_subnet) {
        section.problem("subnets", "must be ids of subnets, subnet-…");
    }
    network.assign_public_ip = section.boolean("assign_public_ip", true);
    for item in section.list("egress") {
        match egress(&section, item) {
            Some(port) => network.egress.push(port),
            None => section.problem(
                "egress",
                "must be numbers from 1 to 65535, or tables { port = 22, cidr = \"192.0.2.0/24\" }",
            ),
        }
    }
    section.finish();
    network
}

fn egress<'s>(network: &Section<'_, 's>, item: &Spanned<DeValue<'s>>) -> Option<EgressPort> {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port > 0);
    if let DeValue::Integer(digits) = item.get_ref() {
        return Some(EgressPort {
            port: number(digits.as_str())?,
            cidr: None,
        });
    }
    let mut section = network.as_section("egress", item)?;
    let port = section.required_number("port", 1..=65_535);
    let cidr = section.string("cidr");
    if cidr.as_ref().is_some_and(|cidr| !syntax::is_cidr(cidr)) {
        section.problem("cidr", "must be a network such as 192.0.2.0/24");
    }
    section.finish();
    Some(EgressPort {
        port: u16::try_from(port?).ok()?,
        cidr,
    })
}

fn permissions(root: &mut Section<'_, '_>) -> BTreeMap<String, Permissions> {
    let Some(mut section) = root.named_sections("permissions") else {
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    for (name, mut set) in section.sections() {
        // 64 characters of a role's name, less the deployment's and "-runner-".
        if !syntax::is_name(&name, 24) {
            section.problem(
                &name,
                "must be lower-case letters, digits and single dashes, 24 at most",
            );
        }
        let mut words = |key: &str, shape: &str| {
            let found = set.strings(key);
            for word in &found {
                if !syntax::is_word(word, "-._/*+=@:,", 512) {
                    set.problem(key, format_args!("`{word}` must be {shape}"));
                }
            }
            found
        };
        let permissions = Permissions {
            s3: words(
                "s3",
                "a bucket, perhaps with a key pattern: bucket/prefix/*",
            ),
            ecr: words("ecr", "a repository or a pattern: team/*"),
            ecs: words("ecs", "a service: cluster/service"),
            ssm: words("ssm", "a parameter: /path/*"),
            policy_arns: words(
                "policy_arns",
                "the ARN of a policy, or the name of one of AWS's own",
            ),
            pass_role_arns: words(
                "pass_role_arns",
                "the ARN of a role, or its name in this account",
            ),
        };
        if permissions.ssm.iter().any(|path| !path.starts_with('/')) {
            set.problem("ssm", "must be paths that begin with a slash");
        }
        if permissions.ecs.iter().any(|service| !service.contains('/')) {
            set.problem("ecs", "must be services: cluster/service");
        }
        set.finish();
        all.insert(name, permissions);
    }
    all
}
