"""Judges of what is rendered, whether it is ever used or not: `parliament` of every policy of every role,
`checkov` of every template. What they say and what is right nevertheless stands in the list of exceptions."""

import contextlib
import copy
import io
import json
import subprocess
import tempfile
from pathlib import Path

import parliament

import policies
from exceptions import Exceptions
from planted import Unnoticed, must_find
from policies import Place, Role


def judge_policies(roles: list[tuple[str, Role]], exceptions: Exceptions) -> list[str]:
    """What parliament says of the policies of `roles`, which are of environments with these names."""
    faults = []
    for environment, role in roles:
        for name, document in role.policies:
            for issue, about in findings(document):
                what = {"issue": issue, "role": role.id, "policy": name, "about": about}
                if not exceptions.covers(what):
                    faults.append(f"{environment}: {role.id}/{name}: {issue} {about}")
    return faults


def findings(document: dict) -> list[tuple[str, str]]:
    """Issue, and what it is about: the actions, if parliament names some."""
    # It prints warnings of its own making.
    with contextlib.redirect_stderr(io.StringIO()):
        found = parliament.analyze_policy_string(json.dumps(document)).findings
    return [(it.issue, about(it.detail)) for it in found]


def about(detail) -> str:
    if not isinstance(detail, list):
        return str(detail)
    names = {it["action"] if isinstance(it, dict) else it for it in detail}
    return " ".join(sorted(names))


def judge_templates(checkov: Path, rendered: Path, exceptions: Exceptions) -> tuple[int, list[str]]:
    """How many checks there were, and which failed without an exception."""
    passed, failed = checked(checkov, rendered)
    faults = [
        f"{where}: {check} {resource}: {says}"
        for check, resource, where, says in failed
        if not exceptions.covers({"check": check, "resource": resource})
    ]
    return passed + len(failed), faults


def checked(checkov: Path, folder: Path) -> tuple[int, list[tuple[str, str, str, str]]]:
    arguments = ["--framework", "cloudformation", "--output", "json", "--compact", "--quiet", "--skip-download"]
    run = subprocess.run([checkov, "--directory", folder, *arguments], capture_output=True, text=True, check=False)
    try:
        report = json.loads(run.stdout)
        summary, failed = report["summary"], report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"checkov failed: {run.stderr[-2000:]}") from None
    if summary["parsing_errors"] or not summary["passed"]:
        raise SystemExit(f"checkov could not read everything: {summary}")
    rows = [(it["check_id"], it["resource"].split(".")[-1], it["file_path"], it["check_name"]) for it in failed]
    return summary["passed"], rows


# Faults that are planted, and how parliament or checkov calls each.

STATEMENTS = [
    ({"Action": "dynamodb:QueryTheTable", "Resource": "arn:aws:dynamodb:*:*:table/x"}, "UNKNOWN_ACTION"),
    ({"Action": "iam:PassRole", "Resource": "*"}, "RESOURCE_STAR"),
    ({"Action": "dynamodb:Query", "Resource": "arn:aws:dynamodb:*:*:tabel/x"}, "RESOURCE_MISMATCH"),
    ({"Action": "ec2:DescribeInstances", "Resource": "arn:aws:ec2:*:*:instance/*"}, "RESOURCE_MISMATCH"),
    (
        {
            "Action": "ec2:TerminateInstances",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
    (
        {
            "Action": "iam:PassRole",
            "Resource": "arn:aws:iam::*:role/x",
            "Condition": {"StringEqual": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
        "UNKNOWN_OPERATOR",
    ),
]
TEMPLATES = [
    ("state", "Artifacts", lambda it: it.pop("PublicAccessBlockConfiguration"), "CKV_AWS_53"),
    ("state", "Table", lambda it: it.pop("PointInTimeRecoverySpecification"), "CKV_AWS_28"),
    (
        "runner",
        "SecurityGroup",
        lambda it: it.update(
            SecurityGroupIngress=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}]
        ),
        "CKV_AWS_24",
    ),
]


def spoil(roles: list[tuple[str, Role]], checkov: Path, rendered: Path, lists: dict) -> int:
    """Every planted fault is found, or an error; how many there were."""
    environment, role = next((name, role) for name, role in roles if role.id == "FunctionRole")
    for statement, issue in STATEMENTS:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | statement]}
        worse = Role(role.id, role.name, role.trust, (*role.policies, ("planted", document)))
        found = judge_policies([(environment, worse)], Exceptions(*lists["parliament"]))
        must_find(str(statement), found, f"planted: {issue}")
    with tempfile.TemporaryDirectory() as folder:
        for stack, resource, change, _ in TEMPLATES:
            template = copy.deepcopy(policies.template(rendered / environment, stack))
            change(template["Resources"][resource]["Properties"])
            (Path(folder) / f"{resource}.json").write_text(json.dumps(template))
        _, faults = judge_templates(checkov, Path(folder), Exceptions(*lists["checkov"]))
    for _, resource, _, check in TEMPLATES:
        must_find(f"{resource} spoiled", faults, f"/{resource}.json: {check} {resource}")
    return len(STATEMENTS) + len(TEMPLATES)


def roles_of(rendered: Path, place: Place) -> list[tuple[str, Role]]:
    """The roles of every rendered environment."""
    folders = sorted(folder for folder in rendered.iterdir() if folder.is_dir())
    found = [(folder.name, role) for folder in folders for role in policies.roles(folder, place)]
    if not found:
        raise Unnoticed(f"no role is rendered in {rendered}")
    return found
