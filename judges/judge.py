"""The judges: `judge.py requests|machines|rights|policies …`. Each says what it judged and what it found; it fails if it found
something, if there was nothing to judge, or if it does not notice a fault that is planted."""

import argparse
import collections
import sys
from pathlib import Path

import exceptions
import launches
import lint
import planted
import policies
import recording
import rights
import shapes
import signatures
from exceptions import Exceptions
from simulator import Simulator

# Faults of a kind that are shown.
SHOWN_MAX = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_requests = commands.add_parser("requests", help="recorded requests by the models of their services")
    of_machines = commands.add_parser("machines", help="recorded requests of machines alone, in the same way")
    of_rights = commands.add_parser("rights", help="recorded calls by the policies of who sent them")
    of_policies = commands.add_parser("policies", help="rendered policies and templates by linters")
    for command in (of_requests, of_machines, of_rights):
        command.add_argument("recordings", type=Path, nargs="+", help="folders of recordings")
    for command in (of_rights, of_policies):
        command.add_argument("--rendered", type=Path, required=True, help="folder of rendered environments")
    of_policies.add_argument("--checkov", type=Path, required=True, help="the program")
    of_rights.add_argument("--people", type=Path, required=True, help="policies of whoever deploys the lab's")
    of_rights.add_argument("--node", type=Path, required=True, help="where the simulator is installed")
    asked = parser.parse_args()
    judges = {"requests": judge_requests, "machines": judge_machines, "rights": judge_rights, "policies": judge_policies}
    try:
        return judges[asked.command](asked)
    except (recording.Broken, planted.Unnoticed, policies.Unresolved) as error:
        return verdict([f"{type(error).__name__}: {error}"])


def calls_of(asked) -> list[recording.Call]:
    """The recorded calls. Everybody must have sent some: nothing is right because it was not judged."""
    calls = recording.calls_of(recording.lines_of(asked.recordings))
    for caller in ("function", "operator", rights.MACHINE):
        if not any(call.caller.startswith(caller) for call in calls):
            raise SystemExit(f"there is no recorded call of {caller.rstrip(':')}: {asked.recordings}")
    return calls


def judge_requests(asked) -> int:
    calls = calls_of(asked)
    return judge_calls(calls, planted.spoil_requests(calls))


def judge_machines(asked) -> int:
    calls = recording.calls_of(recording.lines_of(asked.recordings))
    return judge_calls(calls, planted.spoil_machines(calls))


def judge_calls(calls: list[recording.Call], faults: int) -> int:
    found, kinds = collections.Counter(), collections.Counter()
    for call in calls:
        kinds[call.name] += 1
        found.update(f"{call}: {it}" for it in shapes.judge(call) + signatures.judge(call))
    print(f"{len(calls)} requests of {len(kinds)} kinds, each with its signature; {faults} planted faults found")
    return verdict([f"{text} ({count}×)" for text, count in found.most_common()])


def judge_rights(asked) -> int:
    calls = calls_of(asked)
    listed = exceptions.load()
    simulator = Simulator(asked.node)
    lab = policies.roles(asked.rendered / "lab", rights.place_of_lab(calls))
    people = policies.people(asked.people)
    found = rights.Judge(lab, people, simulator).judge(calls, listed)
    faults = found.faults
    environments = sorted(folder for folder in asked.rendered.iterdir() if folder.is_dir())
    launched = 0
    for folder in environments:
        roles = policies.roles(folder, rights.PLACE)
        own = launches.of_environment(folder, rights.PLACE, calls)
        launched += len(own)
        of_launches = rights.Judge(roles, None, simulator, function=function_role(roles).name)
        faults += [f"{folder.name}: {text}" for text in of_launches.judge(own, {}).wrong]
    spoiled = spoil_rights(lab, people, calls, listed, simulator)
    counts = ", ".join(f"{count} of {caller}" for caller, count in sorted(found.calls.items()))
    print(
        f"{sum(found.calls.values())} calls ({counts}) are {found.requests} requests to IAM, "
        f"{found.decided} of them different; {launched} launches of {len(environments)} environments; "
        f"{found.reasons} rights unused with a reason; {spoiled} planted faults found"
    )
    return verdict(faults)


def judge_policies(asked) -> int:
    listed = exceptions.load()
    lists = {
        "parliament": (listed["parliament"], ("issue", "role", "policy", "about")),
        "checkov": (listed["checkov"], ("check", "resource")),
    }
    roles = lint.roles_of(asked.rendered, rights.PLACE)
    of_policies, of_templates = (Exceptions(*lists[it]) for it in ("parliament", "checkov"))
    faults = lint.judge_policies(roles, of_policies)
    checks, failed = lint.judge_templates(asked.checkov, asked.rendered, of_templates)
    stale = [f"nothing needs this exception: {it}" for it in of_policies.stale() + of_templates.stale()]
    spoiled = lint.spoil(roles, asked.checkov, asked.rendered, lists)
    documents = sum(len(role.policies) for _, role in roles)
    print(
        f"{documents} policies of {len(roles)} roles; {checks} checks of templates; "
        f"{len(listed['parliament']) + len(listed['checkov'])} exceptions with a reason; "
        f"{spoiled} planted faults found"
    )
    return verdict(faults + failed + stale)


def function_role(roles):
    return next(role for role in roles if role.id == "FunctionRole")


def spoil_rights(roles, people, calls, listed: dict, simulator: Simulator) -> int:
    calls = rights.sample(calls)
    for fault in planted.RIGHTS:
        *spoiled, of_people = [
            planted.spoil_role(role, fault) if role.id == fault.role else role for role in [*roles, people]
        ]
        changed = [fault.spoil_call(call) for call in calls]
        found = rights.Judge(spoiled, of_people, simulator).judge(changed, listed)
        planted.must_find(fault.says, found.faults, fault.must_say)
    stale = listed | {"unused": [*listed["unused"], {"action": "a:B", "reason": "none any more"}]}
    found = rights.Judge(roles, people, simulator).judge(calls, stale)
    planted.must_find("a reason that nothing needs", found.faults, "needs no reason")
    return len(planted.RIGHTS) + 1


def verdict(faults: list[str]) -> int:
    for fault in faults[:SHOWN_MAX]:
        print(f"✗ {fault}")
    if len(faults) > SHOWN_MAX:
        print(f"and {len(faults) - SHOWN_MAX} more")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
