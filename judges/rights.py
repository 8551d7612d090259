"""Judge of rights: would IAM allow each recorded call to whoever sent it, by the policies of the rendered
templates alone? And is there a right that nobody used, or a condition that nothing can fulfil?

`actions` says what IAM asks for a call, and `simulator` decides it. All labs count as one account, and
their APIs, launch templates, groups and instances as one each: which of them a lab has got is chance.
"""

import collections
import re
from dataclasses import dataclass, field, replace

import actions
from actions import Request
from exceptions import Exceptions
from policies import Place, Role
from recording import Call
from simulator import Simulator, request as asked_of_role

# Where all of them are; which subnets a lab's VPC has is recorded.
PLACE = Place(account="111111111111", region="eu-west-1")
# The deployment of the environment `lab`, whose rendered templates are judged by.
NAME = "lab-ci"
MACHINE = "machine:"
# How the name of a machine's role begins: `<deployment>-runner`.
OF_MACHINES = re.compile(r"^.+?-runner")
OPERATOR = "operator"
# Statements for what CloudFormation calls, which the lab's emulator does without asking anybody.
OF_STACKS = "Stacks"
STACK = re.compile(r"(?P<name>.+)-(state|runner|dispatch)")
# Ids that EC2 makes up, and those of our launches.
MADE_UP = re.compile(r"\b((?:lt|sg|i|ami|snap)-)?[0-9a-f]{17,24}\b")


@dataclass
class Findings:
    """What was found."""

    denied: collections.Counter = field(default_factory=collections.Counter)
    impossible: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    calls: collections.Counter = field(default_factory=collections.Counter)
    requests: int = 0
    decided: int = 0
    reasons: int = 0

    @property
    def wrong(self) -> list[str]:
        """What is wrong whatever else is recorded."""
        return [f"{text} ({count}×)" for text, count in sorted(self.denied.items())] + self.impossible

    @property
    def faults(self) -> list[str]:
        return self.wrong + self.unused + self.stale


@dataclass(frozen=True)
class Grant:
    """One action on some resources that a role allows."""

    role: Role
    place: str
    action: str
    resources: tuple[str, ...]
    keys: tuple[str, ...]


class Judge:
    """Decides with the policies of `roles`, and for the operator with those of `people`, who deploy."""

    def __init__(
        self, roles: list[Role], people: Role | None, simulator: Simulator, function: str = f"{NAME}-dispatch"
    ):
        self.simulator = simulator
        self.function = function
        self.roles = [*roles, *([people] if people else [])]
        self.has_people = people is not None

    def principal(self, call: Call) -> str | None:
        """The name of the role whose policies hold, None if nobody's are judged here."""
        if call.caller.startswith(MACHINE):
            # Tests deploy under other names than the environment's.
            return OF_MACHINES.sub(f"{NAME}-runner", call.caller.removeprefix(MACHINE))
        if call.caller == "function":
            return self.function
        return OPERATOR if self.has_people else None

    def judge(self, calls: list[Call], exceptions: dict) -> Findings:
        found = Findings()
        asked = self.asked(calls, found)
        left_out = Exceptions(exceptions.get("left-out", []), ("caller", "action", "resource"))
        questions = [
            (principal, request)
            for principal, request in asked
            if not left_out.covers({"caller": principal, "action": request.action, "resource": request.resource})
        ]
        found.requests, found.decided = sum(it.total() for it in asked.values()), len(questions)
        grants = [grant for role in self.roles for grant in grants_of(role)]
        conditional = [(grant, resource) for grant in grants if grant.keys for resource in grant.resources]
        decided = self.decide(questions, conditional)
        used = set()
        for (principal, request), answer in zip(questions, decided["answers"], strict=True):
            if not answer["allowed"]:
                for name, count in asked[principal, request].items():
                    found.denied[denial(principal, name, request, answer)] += count
            used |= {(principal, place_of(it), request.action) for it in answer["by"]}
        for (grant, resource), never in zip(conditional, decided["never"], strict=True):
            if never:
                found.impossible.append(
                    f"{grant.role.id}: {grant.place} allows {grant.action} on {resource} by {', '.join(never)}, "
                    "which AWS never gives for it"
                )
        unused = [it for it in grants if (it.role.name, it.place, it.action) not in used]
        self.look_for_unused(unused, exceptions, found)
        found.stale += [f"no call is left out by it any more: {it}" for it in left_out.stale()]
        return found

    def asked(self, calls: list[Call], found: Findings) -> dict[tuple[str, Request], collections.Counter]:
        """What is asked of IAM by whom, and how often by which call."""
        asked = collections.defaultdict(collections.Counter)
        for call, requests in plain(calls, found):
            principal = self.principal(call)
            if principal is not None:
                found.calls[call.caller] += 1
                for request in requests:
                    asked[principal, request][call.name] += 1
        return asked

    def decide(self, questions: list[tuple[str, Request]], conditional: list[tuple[Grant, str]]) -> dict:
        """An answer to each question, and for each conditional grant the keys that are never there."""
        policies = {
            role.name: [{"name": name, "policy": document} for name, document in role.policies] for role in self.roles
        }
        requests = [asked_of_role(principal, principal, PLACE.account, request) for principal, request in questions]
        grants = [{"action": it.action, "resource": resource, "keys": it.keys} for it, resource in conditional]
        return self.simulator.ask(policies, requests, grants)

    def look_for_unused(self, unused: list[Grant], exceptions: dict, found: Findings) -> None:
        listed = Exceptions(exceptions.get("unused", []), ("role", "statement", "action"))
        for grant in unused:
            of_stacks = grant.place.rpartition("/")[2].startswith(OF_STACKS)
            what = {"role": grant.role.id, "statement": grant.place, "action": grant.action}
            if not of_stacks and not listed.covers(what):
                found.unused.append(
                    f"no run uses {grant.action}, granted to {grant.role.id} by {grant.place}, and no reason is given"
                )
        found.reasons = len(listed.entries)
        found.stale += [f"it is used, or not granted, so it needs no reason: {it}" for it in listed.stale()]


def sample(calls: list[Call]) -> list[Call]:
    """The first of the calls that ask IAM for the same."""
    first = {}
    for call, requests in plain(calls, Findings()):
        first.setdefault((call.caller, call.name, frozenset(requests)), call)
    return list(first.values())


def plain(calls: list[Call], found: Findings):
    """Each call with what IAM asks for it, as if all had been sent in the one account and by the one
    deployment that the policies are resolved for."""
    names = names_of(calls)
    for call in calls:
        try:
            requests = actions.requests(call)
        except actions.Unknown:
            found.denied[f"{call}: judges/actions.py does not say what it needs"] += 1
            continue
        names_here = names[call.line["recording"]]
        yield call, [in_one_place(request, call, names_here) for request in requests]


def names_of(calls: list[Call]) -> dict[str, set[str]]:
    """What deployments are called, by recording: tests deploy under other names than the environment's."""
    names = collections.defaultdict(set)
    for call in calls:
        stack = STACK.fullmatch(call.input.get("StackName") or "") if call.service == "cloudformation" else None
        if stack:
            names[call.line["recording"]].add(stack["name"])
    return names


def in_one_place(request: Request, call: Call, names: set[str]) -> Request:
    def of_place(text):
        if isinstance(text, tuple):
            return tuple(map(of_place, text))
        # The longest first: one may begin with another.
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"\b{re.escape(name)}\b", NAME, text)
        text = MADE_UP.sub(r"\g<1>0", text.replace(call.account, PLACE.account))
        # A machine's last words go to CloudWatch itself, not through the API.
        api = (call.line["about"] or {}).get("api") if call.caller.startswith(MACHINE) else None
        return text.replace(api, PLACE.api) if api else text

    context = tuple((of_place(key), of_place(value)) for key, value in request.context)
    return Request(request.action, of_place(request.resource), context)


def place_of_lab(calls: list[Call]) -> Place:
    """The place with the subnets that the lab's environment was deployed to."""
    for call in calls:
        if call.operation == "CreateChangeSet" and call.input["StackName"] == f"{NAME}-dispatch":
            told = {it["ParameterKey"]: it.get("ParameterValue") for it in call.input["Parameters"]}
            if told["SubnetIds"]:
                return replace(PLACE, subnets=tuple(told["SubnetIds"].split(",")))
    raise SystemExit(f"no recording has the deployment of {NAME}")


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def grants_of(role: Role) -> list[Grant]:
    """Everything that the role allows."""
    return [
        Grant(role, f"{name}/{sid(statement)}", action, tuple(listed(statement["Resource"])), keys_of(statement))
        for name, document in role.policies
        for statement in listed(document["Statement"])
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    ]


def keys_of(statement: dict) -> tuple[str, ...]:
    tests = statement.get("Condition") or {}
    return tuple(sorted({key for test in tests.values() for key in test}))


def sid(statement: dict) -> str:
    return statement.get("Sid", "-")


def place_of(it: dict) -> str:
    return f"{it['policy']}/{sid(it['statement'])}"


def denial(principal: str, call: str, request: Request, answer: dict) -> str:
    lines = [f"{principal}: {call} needs {request.action} on {answer['resource']}: {answer['result']}"]
    fitting = [it for it in answer["near"] if it["resource"]]
    for near in fitting or answer["near"]:
        why = [f"lacks or fails {key}" for key in near["conditions"]]
        if not near["resource"]:
            why = ["is for other resources"]
        lines.append(f"    near: {place_of(near)} ({near['statement']['Effect']}) {', '.join(why)}")
    if answer["withheld"]:
        lines.append(f"    AWS gives no {', '.join(answer['withheld'])} for it")
    if not answer["near"]:
        lines.append("    no statement names this action")
    return "\n".join(lines)
