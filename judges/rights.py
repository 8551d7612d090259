"""Judge of rights: would IAM allow each recorded call to whoever sent it, by the policies of the rendered
templates alone? And is there a right that nobody used?

`actions` says what IAM asks for a call, and `decide.mjs` decides it. All labs count as one account, and
their APIs, launch templates, groups and instances as one each: which of them a lab has got is chance.
"""

import collections
import fnmatch
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import actions
import policies
from policies import Place, Role
from recording import Call

HERE = Path(__file__).parent
PLACE = Place(account="111111111111", region="eu-west-1")
# The deployment of the environment `lab`, whose rendered templates are judged by.
NAME = "lab-ci"
MACHINE = "machine:"
# Statements for what CloudFormation calls, which the lab's emulator does without asking anybody.
OF_STACKS = "Stacks"
STACK = re.compile(r"(?P<name>.+)-(state|runner|dispatch)")


@dataclass
class Findings:
    """What was found."""

    denied: collections.Counter = field(default_factory=collections.Counter)
    unused: list[str] = field(default_factory=list)
    vain: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    calls: collections.Counter = field(default_factory=collections.Counter)
    requests: int = 0
    decided: int = 0
    reasons: int = 0

    @property
    def wrong(self) -> list[str]:
        """What is wrong whatever else is recorded."""
        return [f"{text} ({count}×)" for text, count in sorted(self.denied.items())] + self.vain

    @property
    def faults(self) -> list[str]:
        return self.wrong + self.unused + self.stale


class Judge:
    """Decides with the policies of `roles`, and with those of `people`, who deploy, for the operator."""

    def __init__(
        self,
        roles: list[Role],
        people: Role | None,
        node: Path,
        function: str = f"{NAME}-dispatch",
    ):
        self.node = node
        self.function = function
        self.roles = {role.name: role for role in roles}
        self.policies = {
            role.name: [{"name": name, "policy": document} for name, document in role.policies] for role in roles
        }
        self.people = people
        if people is not None:
            self.policies["operator"] = [{"name": name, "policy": document} for name, document in people.policies]

    def principal(self, call: Call) -> str | None:
        """Whose policies hold, None if nobody's are judged here."""
        if call.caller.startswith(MACHINE):
            return call.caller.removeprefix(MACHINE)
        if call.caller == "function":
            return self.function
        return "operator" if self.people else None

    def judge(self, calls: list[Call], exceptions: dict) -> Findings:
        found = Findings()
        asked = collections.defaultdict(collections.Counter)
        names = names_of(calls)
        for call in calls:
            principal = self.principal(call)
            if principal is None:
                continue
            found.calls[call.caller] += 1
            try:
                for request in actions.requests(call):
                    asked[principal, plain(request, call, names[call.line["recording"]])][call.name] += 1
            except actions.Unknown:
                found.denied[f"{call}: judges/actions.py does not say what it needs"] += 1
        found.requests = sum(sum(names.values()) for names in asked.values())
        left_out = Exceptions(exceptions.get("left-out", []), ("caller", "action", "resource"))
        questions = [
            it for it in asked if not left_out.covers({"caller": it[0], "action": it[1].action, "resource": it[1].resource})
        ]
        found.decided = len(questions)
        used = set()
        conditions = [it for role in self.roles.values() for it in conditional(role)]
        decided = self.decide(questions, conditions)
        for (role, statement, grant), never in zip(conditions, decided["never"], strict=True):
            if never:
                found.vain.append(
                    f"{role}: {statement} allows {grant['action']} on {grant['resource']} by {', '.join(never)}, "
                    "which AWS never gives for it"
                )
        for (principal, request), answer in zip(questions, decided["answers"], strict=True):
            if not answer["allowed"]:
                for name, count in asked[principal, request].items():
                    found.denied[denial(principal, name, request, answer)] += count
            # A call that fails for one of its resources uses no right.
            used |= {(principal, it["policy"], statement_name(it), request.action) for it in answer["by"]}
        self.look_for_unused(used, exceptions, found)
        found.stale += [f"no call is left out by it any more: {it}" for it in left_out.stale()]
        return found

    def decide(self, questions, conditions) -> dict:
        requests = [
            {
                "policies": principal,
                "principal": f"arn:aws:iam::{PLACE.account}:role/{principal}",
                "account": PLACE.account,
                "action": request.action,
                "resource": request.resource,
                "context": dict(request.context),
            }
            for principal, request in questions
        ]
        source = (HERE / "decide.mjs").read_text()
        # From the text, so that modules are looked for in the folder that they were installed in.
        decided = subprocess.run(
            ["node", "--input-type=module", "--eval", source],
            cwd=self.node,
            input=owned(
                json.dumps(
                    {
                        "policies": self.policies,
                        "requests": requests,
                        "grants": [grant for _, _, grant in conditions],
                    }
                )
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if decided.returncode != 0:
            raise SystemExit(f"the simulator failed: {decided.stderr[-2000:]}")
        return json.loads(decided.stdout)

    def look_for_unused(self, used: set, exceptions: dict, found: Findings) -> None:
        listed = Exceptions(exceptions.get("unused", []), ("role", "statement", "action"))
        for role in [*self.roles.values(), *([self.people] if self.people else [])]:
            for granted in grants(role):
                policy, statement, action = granted
                if (role.name, policy, statement, action) in used or statement.startswith(OF_STACKS):
                    continue
                if not listed.covers({"role": role.id, "statement": f"{policy}/{statement}", "action": action}):
                    found.unused.append(
                        f"no run uses {action}, granted to {role.id} by {policy}/{statement}, and no reason is given"
                    )
        found.reasons = len(listed.entries)
        found.stale += [f"it is used, or not granted, so it needs no reason: {it}" for it in listed.stale()]


def owned(text: str) -> str:
    """AWS's own parameters are in no account, which the simulator does not know: give them one."""
    return text.replace("::parameter/aws/service/", ":000000000000:parameter/aws/service/")


class Exceptions:
    """Entries of a list, each with a reason, and which of them were needed."""

    def __init__(self, entries: list[dict], keys: tuple[str, ...]):
        for entry in entries:
            if not entry.get("reason", "").strip():
                raise SystemExit(f"an exception without a reason: {entry}")
        self.entries, self.keys = entries, keys
        self.needed: set[int] = set()

    def covers(self, what: dict) -> bool:
        fitting = [
            number
            for number, entry in enumerate(self.entries)
            if all(fnmatch.fnmatchcase(what[key], entry.get(key, "*")) for key in self.keys)
        ]
        self.needed.update(fitting)
        return bool(fitting)

    def stale(self) -> list[dict]:
        return [entry for number, entry in enumerate(self.entries) if number not in self.needed]


def names_of(calls: list[Call]) -> dict[str, set[str]]:
    """What deployments are called, by recording: tests deploy under other names than the environment's."""
    names = collections.defaultdict(set)
    for call in calls:
        stack = STACK.fullmatch(call.input.get("StackName") or "") if call.service == "cloudformation" else None
        if stack:
            names[call.line["recording"]].add(stack["name"])
    return names


def sample(calls: list[Call]) -> list[Call]:
    """The first of the calls that ask IAM for the same."""
    first = {}
    names = names_of(calls)
    for call in calls:
        asked = frozenset(plain(request, call, names[call.line["recording"]]) for request in actions.requests(call))
        first.setdefault((call.caller, call.name, asked), call)
    return list(first.values())


def plain(request: actions.Request, call: Call, names: set[str]) -> actions.Request:
    """The request as if it had been sent in the one account that all policies are resolved for, of the
    deployment that they name."""
    api = (call.line["about"] or {}).get("api")

    def of_place(text):
        if isinstance(text, tuple):
            return text
        text = MADE_UP.sub(r"\g<1>0", text.replace(call.account, PLACE.account))
        for name in names:
            text = text.replace(name, NAME)
        return text.replace(api, PLACE.api) if api else text

    context = tuple((key, of_place(value)) for key, value in request.context)
    return actions.Request(request.action, of_place(request.resource), context)


# Ids that EC2 makes up, and those of our launches.
MADE_UP = re.compile(r"\b((?:lt|sg|i)-)?[0-9a-f]{17,24}\b")


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def grants(role: Role) -> list[tuple[str, str, str]]:
    """Policy, statement and action of everything that the role allows."""
    return [
        (name, statement_name({"statement": statement}), action)
        for name, document in role.policies
        for statement in listed(document["Statement"])
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    ]


def conditional(role: Role) -> list[tuple[str, str, dict]]:
    """Every action on every resource that the role allows under a condition, with the keys of that."""
    return [
        (role.name, f"{name}/{statement_name({'statement': statement})}", {
            "action": action, "resource": resource, "keys": sorted(keys),
        })
        for name, document in role.policies
        for statement in listed(document["Statement"])
        if statement["Effect"] == "Allow" and statement.get("Condition")
        for keys in [{key for test in statement["Condition"].values() for key in test}]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if "*" not in action
    ]


def statement_name(it: dict) -> str:
    return it["statement"].get("Sid", "-")


def denial(principal: str, call: str, request: actions.Request, answer: dict) -> str:
    lines = [f"{principal}: {call} needs {request.action} on {answer['resource']}: {answer['result']}"]
    fitting = [it for it in answer["near"] if it["resource"]]
    for near in fitting or answer["near"]:
        why = [f"lacks or fails {key}" for key in near["conditions"]]
        if not near["resource"]:
            why = ["is for other resources"]
        lines.append(f"    near: {near['policy']}/{statement_name(near)} ({near['statement']['Effect']}) {', '.join(why)}")
    if answer["withheld"]:
        lines.append(f"    AWS gives no {', '.join(answer['withheld'])} for it")
    if not answer["near"]:
        lines.append("    no statement names this action")
    return "\n".join(lines)


def roles_of(rendered: Path) -> list[Role]:
    return policies.roles(rendered, PLACE)
