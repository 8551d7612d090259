"""IAM's simulator as a program that stays: `decide.mjs`, asked by a line and answering by a line."""

import json
import subprocess
from pathlib import Path

DECIDE = Path(__file__).with_name("decide.mjs")


class Simulator:
    """Runs until its owner ends."""

    def __init__(self, node: Path):
        """`node` is where its packages are installed."""
        # From the text, so that modules are looked for in the folder that they were installed in.
        self.process = subprocess.Popen(
            ["node", "--input-type=module", "--eval", DECIDE.read_text()],
            cwd=node,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, policies: dict, requests: list[dict], grants: list[dict]) -> dict:
        """An answer to each request by the policies that it names; for each grant the keys that are never there."""
        asked = {"policies": policies, "requests": requests, "grants": grants}
        try:
            self.process.stdin.write(known(json.dumps(asked)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SystemExit(f"the simulator ended ({self.process.wait()}): its words are above")
        return json.loads(answer)


def request(policies: str, principal: str, account: str, asked) -> dict:
    """A question of `actions` in the simulator's words: may that role, by the policies of this name?"""
    return {
        "policies": policies,
        "principal": f"arn:aws:iam::{account}:role/{principal}",
        "account": account,
        "action": asked.action,
        "resource": asked.resource,
        "context": dict(asked.context),
    }


def known(text: str) -> str:
    """The question with other names where the simulator knows a resource by none: AWS's own parameters, which
    are in no account, and HTTP APIs, which the reference mixes up with those of REST."""
    text = text.replace("::parameter/aws/service/", ":000000000000:parameter/aws/service/")
    return text.replace("::/apis", "::/restapis")
