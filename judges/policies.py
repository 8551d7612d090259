"""The rendered templates of an environment, with their policies as CloudFormation would resolve them."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

STACKS = ("state", "runner", "dispatch")
SUBSTITUTE = re.compile(r"\$\{([^}!]+)\}")


@dataclass(frozen=True)
class Place:
    """Where a deployment is, as far as its policies name it."""

    account: str
    region: str
    api: str = "a1b2c3d4e5"
    subnets: tuple[str, ...] = ("subnet-00000001", "subnet-00000002")


@dataclass(frozen=True)
class Role:
    """A role with its inline policies: `(name, document)`."""

    id: str
    name: str
    trust: dict
    policies: tuple


def people(file: Path) -> Role:
    """Whoever deploys, with the policies in `file` by name."""
    return Role("People", "operator", {}, tuple(json.loads(file.read_text()).items()))


class Unresolved(Exception):
    """A template says something that can't be resolved here."""


def template(folder: Path, stack: str) -> dict:
    """A rendered template."""
    return json.loads((folder / f"{stack}.json").read_text())


def roles(folder: Path, place: Place) -> list[Role]:
    """Every role of the environment that is rendered in `folder`."""
    found = []
    for stack in STACKS:
        resources = template(folder, stack)["Resources"]
        for name, resource in resources.items():
            if resource["Type"] == "AWS::IAM::Role":
                properties = resolve(resource["Properties"], resources, place)
                policies = [(it["PolicyName"], it["PolicyDocument"]) for it in properties.get("Policies", [])]
                trust = properties["AssumeRolePolicyDocument"]
                found.append(Role(name, properties["RoleName"], trust, tuple(policies)))
    return found


def resolve(value, resources: dict, place: Place):
    """`value` without intrinsic functions."""
    if isinstance(value, list):
        return [resolve(it, resources, place) for it in value]
    if not isinstance(value, dict):
        return value
    function, argument = next(iter(value.items()), (None, None))
    if len(value) != 1 or not (function == "Ref" or str(function).startswith("Fn::")):
        return {key: resolve(it, resources, place) for key, it in value.items()}
    if function == "Ref":
        return reference(argument, resources, place)
    if function == "Fn::Sub":
        return SUBSTITUTE.sub(lambda match: reference(match[1], resources, place), argument)
    argument = resolve(argument, resources, place)
    if function == "Fn::Join":
        return argument[0].join(argument[1])
    if function == "Fn::Split":
        return argument[1].split(argument[0])
    if function == "Fn::Base64":
        return base64.b64encode(argument.encode()).decode()
    if function == "Fn::GetAtt":
        return reference(".".join(argument), resources, place)
    raise Unresolved(function)


def reference(name: str, resources: dict, place: Place) -> str:
    known = {
        "AWS::Partition": "aws",
        "AWS::Region": place.region,
        "AWS::AccountId": place.account,
        "ApiId": place.api,
        "SubnetIds": ",".join(place.subnets),
    }
    if name in known:
        return known[name]
    resource, _, attribute = name.partition(".")
    if attribute == "Arn" and resources[resource]["Type"] == "AWS::Lambda::Function":
        function = resources[resource]["Properties"]["FunctionName"]
        return f"arn:aws:lambda:{place.region}:{place.account}:function:{function}"
    raise Unresolved(name)
