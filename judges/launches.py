"""Launches as every environment would send them: a recorded request, once as Spot and once On-Demand, and
what it names is taken from the rendered launch templates. So the roles of environments that are never
deployed in the lab are judged as well."""

from dataclasses import replace
from pathlib import Path

import policies
from policies import Place
from recording import Call


def of_environment(folder: Path, place: Place, calls: list[Call]) -> list[Call]:
    """One launch of each pool in each market."""
    resources = policies.template(folder, "runner")["Resources"]
    templates = [it["Properties"] for it in resources.values() if it["Type"] == "AWS::EC2::LaunchTemplate"]
    return [launch(call, it, place) for call in markets(calls) for it in templates]


def markets(calls: list[Call]) -> list[Call]:
    """A recorded Spot launch, and the same On-Demand: the dispatcher leaves one member out for that."""
    market = "InstanceMarketOptions"
    spot = next(call for call in calls if call.operation == "RunInstances" and market in call.input)
    rest = {name: value for name, value in spot.input.items() if name != market}
    return [spot, replace(spot, input=rest)]


def launch(call: Call, template: dict, place: Place) -> Call:
    data = template["LaunchTemplateData"]
    tags = [tag for spec in template["TagSpecifications"] for tag in spec["Tags"]]
    about = {
        "template_tags": {tag["Key"]: tag["Value"] for tag in tags},
        "image": data["ImageId"],
        "profile": data["IamInstanceProfile"]["Name"],
        "security_groups": ["sg-0"],
    }
    return replace(call, line=call.line | {"about": about, "account": place.account})
