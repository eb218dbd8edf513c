"""The configuration that `xffl exec` names is found on every rank, though it is passed to none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.by_hand.command import Named, read
from bench.by_hand.errors import ConfigurationError
from bench.by_hand.named import VARIABLE, load, named
from matrix.launchers.base import free_port
from tests.support.standin.places import Place, place
from tests.support.sweeps import PATIENCE, wait_for

RANKS = {"WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "a"}
SCRIPT = Path("/code/training.py")
WHOLE = "exec training.py config.py -ws 4 -n a b"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (WHOLE, Named(Path("/code/config.py"))),
        ("-dbg exec /code/training.py ../own.py -c mine -fs 1,1 -f f.sh -ws 4", Named(Path("/own.py"), "mine")),
        ("exec -v venv -n a b -ws 4 -c mine -- training.py config.py", Named(Path("/code/config.py"), "mine")),
        (WHOLE.replace("-ws 4", "-ws 2"), None),
        (WHOLE.replace("-n a b", "-n b a"), None),
        (WHOLE.replace("-n a b", "-n a"), None),
        (WHOLE.replace("training.py", "other.py"), None),
        ("exec training.py", None),
        ("run training.py config.py", None),
    ],
)
def test_a_command_is_ours_if_it_starts_this_script_on_these_ranks(words: str, found: Named | None) -> None:
    def of(*before: str, ranks: Mapping[str, str] = RANKS) -> Named | None:
        return read([*before, *words.split()], Path("/code"), SCRIPT, ranks)

    assert of("/venv/bin/python", "/venv/bin/xffl") == of("/usr/bin/xffl") == found
    assert of("/venv/bin/python", "/code/training.py") is None


PROGRAM = """
import json, os, pathlib, sys
from bench.by_hand.errors import ConfigurationError
from bench.by_hand import named
here = pathlib.Path(__file__).resolve().parent
os.environ["MASTER_PORT"] = (here / "port").read_text()
if os.environ["GROUP_RANK"] in (here / "blind").read_text():
    named.visible = lambda script: []  # as on a host that the command does not run on
try:
    found = named.named(here / "training.py")
    said = [str(found.path), found.name]
except ConfigurationError as error:
    said = [str(error)]
(here / f".{os.environ['RANK']}").write_text(json.dumps(said))
(here / f".{os.environ['RANK']}").rename(here / f"rank{os.environ['RANK']}.json")
"""


@pytest.fixture(params=["standin", "real"])
def either_xffl(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The stand-in's program or the real one, over ssh that only seems to reach hosts."""
    with place(tmp_path, request.param, "standin") as found:
        yield found


@pytest.mark.parametrize(
    ("blind", "hosts"), [("", ["127.0.0.1"]), ("0", ["127.0.0.1", "127.0.0.2"]), ("01", ["127.0.0.1", "127.0.0.2"])]
)
def test_every_rank_gets_what_the_command_names(
    tmp_path: Path, either_xffl: Place, blind: str, hosts: list[str]
) -> None:
    """A host on which the command does not run is told by one that sees it; seen by none, all are refused."""
    files = {"training.py": PROGRAM, "own.py": "", "port": str(free_port()), "blind": blind}
    facility = 'Reset_visible_devices () { VISIBLE_DEVICES=""; }\ntaskset () { shift 2; "$@"; }\n'
    files["facility.sh"] = f"{facility}export PYTHONPATH={':'.join(path for path in sys.path if path)}\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    words = ["exec", "training.py", "own.py", "-c", "mine", "-f", "facility.sh", "-v", sys.prefix, "-ws", "2"]
    environment = os.environ | either_xffl.variables
    process = subprocess.Popen(
        [str(either_xffl.command), *words, "-n", *hosts], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    ranks = [tmp_path / f"rank{rank}.json" for rank in range(2)]
    assert wait_for(lambda: all(path.exists() for path in ranks))
    assert process.wait(PATIENCE) == 0
    answers = [json.loads(path.read_text()) for path in ranks]
    assert answers[0] == answers[1]
    if blind == "01":
        assert f"no host of the run sees the command `xffl exec` that started {tmp_path}/training.py" in answers[0][0]
        assert f"export {VARIABLE}=FILE:CLASS in the facility script" in answers[0][0]
    else:
        assert answers[0] == [str(tmp_path / "own.py"), "mine"]


def test_a_variable_names_it_where_no_command_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("XFFL_EXECUTION", raising=False)
    assert named(SCRIPT) == Named(Path("/code/config.py")), "started by another launcher"
    monkeypatch.setenv("XFFL_EXECUTION", "true")
    for name, value in RANKS.items():
        monkeypatch.setenv(name, "1" if name == "GROUP_WORLD_SIZE" else value)
    with pytest.raises(ConfigurationError, match="no host of the run sees"):
        named(SCRIPT)
    monkeypatch.setenv(VARIABLE, "/own.py:mine")
    assert named(SCRIPT) == Named(Path("/own.py"), "mine")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("raise SystemExit", ", line 1: SystemExit"),
        ("a = 1\nb = a.c", ", line 2: AttributeError: 'int' object has no attribute 'c'"),
        ("a = 1\nb = (", ", line 2: SyntaxError: '(' was never closed"),
        (None, ": no such file on "),
    ],
)
def test_a_file_that_makes_no_configuration_is_named_with_its_line(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load(Named(path))
    assert str(raised.value).startswith(f"{path}{fault}")
