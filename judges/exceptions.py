"""What the judges find and is right nevertheless: entries of `exceptions.toml`, each with its reason."""

import fnmatch
import tomllib
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


def load() -> dict[str, list[dict]]:
    """The entries, by the judge that they are for."""
    return tomllib.loads(FILE.read_text())


class Exceptions:
    """The entries for one judge, and which of them were needed."""

    def __init__(self, entries: list[dict], keys: tuple[str, ...]):
        for entry in entries:
            if not entry.get("reason", "").strip():
                raise SystemExit(f"an exception without a reason: {entry}")
        self.entries, self.keys = entries, keys
        self.needed: set[int] = set()

    def covers(self, what: dict) -> bool:
        """Whether an entry is for this: each of its keys is a pattern, and one that is left out fits all."""
        fitting = [
            number
            for number, entry in enumerate(self.entries)
            if all(fnmatch.fnmatchcase(what[key], entry.get(key, "*")) for key in self.keys)
        ]
        self.needed.update(fitting)
        return bool(fitting)

    def stale(self) -> list[dict]:
        """The entries that were not needed."""
        return [entry for number, entry in enumerate(self.entries) if number not in self.needed]
