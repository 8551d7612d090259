"""Judge of rights that stays: may the role make this call, by its policies as they are now?

A line of standard input is a question: `id`, `line` (a call as `recording` reads it), the name of the `role` and
its `policies` (`name` and `policy` each). The line of standard output with the same `id` has what IAM would
not allow first, or `allowed`; or `unjudged`, where the call can't be judged, with the reason. Before the first
question it says that it is ready.
"""

import argparse
import json
import sys
from pathlib import Path

import actions
import recording
from simulator import Simulator, request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", type=Path, required=True, help="where the simulator is installed")
    simulator = Simulator(parser.parse_args().node)
    # Its answer to nothing: it has loaded what it decides by.
    simulator.ask({}, [], [])
    say({"ready": True})
    for text in sys.stdin:
        question = json.loads(text)
        try:
            answer = judged(simulator, question)
        except (recording.Broken, actions.Unknown, KeyError, TypeError, ValueError) as error:
            answer = {"unjudged": f"{type(error).__name__}: {error}"}
        say({"id": question["id"]} | answer)


def judged(simulator: Simulator, question: dict) -> dict:
    call = recording.call_of(question["line"])
    asked = actions.requests(call)
    role = question["role"]
    requests = [request(role, role, call.account, it) for it in asked]
    answers = simulator.ask({role: question["policies"]}, requests, [])["answers"]
    for it, answer in zip(asked, answers, strict=True):
        if not answer["allowed"]:
            return {"denied": denied(it, answer)}
    return {"allowed": len(asked)}


def denied(asked: actions.Request, answer: dict) -> dict:
    """What was not allowed, with the context that IAM had and the statements that forbid it, if any do."""
    given = {key: value for key, value in asked.context if key not in answer["withheld"]}
    return {
        "action": asked.action,
        # An action that can't be bound to a resource is asked for all of them.
        "resource": "*" if answer["resource"] == "*" else asked.resource,
        "explicit": answer["result"] == "ExplicitlyDenied",
        "statements": [it["statement"] for it in answer["against"]],
        "context": {key: [value] if isinstance(value, str) else value for key, value in given.items()},
    }


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
