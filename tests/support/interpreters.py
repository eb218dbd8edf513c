"""An interpreter of an environment that says of itself what a test wants."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

FACTS = {
    "averaging": "sum",
    "group_data": "same",
    "streams": "inert",
    "unequal_groups": "wrong",
    "image_mode": "crashes",
}
"""What the probe finds at commit 2819740 of xFFL on a CPU."""

_PROGRAM = """\
#!{python}
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "answers.json")) as file:
    answers = json.load(file)
words = [word for word in sys.argv[1:] if word not in ("-P", "-m")]
with open(os.path.join(here, "asked"), "a") as file:
    print(*words, file=file)
answer = answers[words[0]]
print("what xFFL has printed", file=sys.stderr)
sys.exit(print(json.dumps(answer)) if isinstance(answer, dict) else answer)
"""


def executable(path: Path, text: str) -> Path:
    """A program."""
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@dataclass
class Interpreter:
    """`python` in a folder of its own, which answers what `python -m bench....` is asked."""

    path: Path

    @classmethod
    def make(cls, folder: Path) -> Interpreter:
        """With an xFFL that probes find to be as it is."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(executable(folder / "python", _PROGRAM.format(python=sys.executable)))
        made.answers()
        return made

    def answers(
        self, *, torch: str = "2.9.0", probe: object = None, xffl: bool = True, gpus: tuple[str, ...] = ()
    ) -> None:
        """Say this from now on."""
        package = {"version": "0.2.2", "commit": None, "digest": "abc"} if xffl else None
        installation = {"python": "3.11", "xffl_bench": "0.1", "commit": None, "dirty": None, "torch": torch}
        said = {
            "bench.host.software.installation": installation | {"xffl": package},
            "bench.probe.probe": probe or {"facts": FACTS, "evidence": dict.fromkeys(FACTS, "seen"), "seconds": 1.0},
            "bench.host.devices": {"torch": torch, "cuda": "13.0" if gpus else None, "rocm": None, "gpus": gpus},
        }
        (self.path.parent / "answers.json").write_text(json.dumps(said))

    @property
    def probed(self) -> list[str]:
        """The words of each call of the probe."""
        lines = (self.path.parent / "asked").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith("bench.probe.probe")]
