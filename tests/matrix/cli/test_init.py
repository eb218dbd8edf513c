"""Files to begin with: whole, planned as they are, and never in place of others."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from matrix.cli.app import app
from matrix.cli.init import EXAMPLES, examples
from matrix.config.load import load_both
from matrix.errors import InputError
from matrix.planning.prepare import prepare

ROOT = Path(__file__).parents[3]
NAMES = examples()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def init(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["init", *words], prog_name="xffl-bench")
    assert not ended.value.code


def test_the_starter_can_be_planned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    init()
    assert (
        capsys.readouterr().out == "wrote my-sweep.yaml and my-sweep-system.yaml; next: xffl-bench plan my-sweep.yaml\n"
    )
    prepared = prepare(Path("my-sweep.yaml"), None, [], [])
    assert (prepared.sweep.name, len(prepared.selected), prepared.system.name) == ("my-sweep", 15, "starter")
    assert prepared.sweep.data.path == str(tmp_path / "data" / "synthetic-tiny")
    assert Path(prepared.sweep.system) == tmp_path / "my-sweep-system.yaml"


@pytest.mark.parametrize("example", NAMES)
def test_every_example_can_be_copied(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORK", "SCRATCH"):
        monkeypatch.setenv(name, str(tmp_path))
    init("mine", "--from", example)
    assert {file.name for file in tmp_path.iterdir()} == {"mine.yaml", "mine-system.yaml"}
    sweep, system = load_both(Path("mine.yaml"), None, [])
    assert sweep.name == "mine"
    assert Path(sweep.system).read_text() == system.source
    assert sweep.data.path.startswith(f"{tmp_path}/data/")
    if example == "leonardo":
        assert (system.name, system.scheduler) == ("leonardo", "slurm")


def test_the_system_file_of_an_example_is_none(tmp_path: Path) -> None:
    files = sorted(file.stem for file in EXAMPLES.glob("*.yaml"))
    of_examples = [name for name in files if name not in NAMES]
    assert of_examples == [name for name in files if name.removesuffix("-system") in NAMES and name not in NAMES] != []
    with pytest.raises(InputError) as refused:
        init("--from", "nosuch")
    assert str(refused.value) == f"--from nosuch: not an example (known: {', '.join(NAMES)})"
    with pytest.raises(InputError, match=r"^--from starter-system: not an example \(did you mean 'starter'\?\)$"):
        init("--from", "starter-system")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine-system.yaml").write_text("precious")
    with pytest.raises(InputError, match=r"^mine-system\.yaml already there: .*--force$"):
        init("mine")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]
    init("mine", "--force")
    assert (tmp_path / "mine-system.yaml").read_text().startswith("# The machine.")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["a/b"], "'a/b': should be letters"), (["--from", "leonrado"], r"not an example \(did you mean 'leonardo'\?\)")],
)
def test_what_cannot_be_written(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        init(*words)
    assert not list(tmp_path.iterdir())


def test_a_wheel_holds_the_examples() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    held = project["tool"]["setuptools"]["package-data"]["matrix"]
    files = [file.relative_to(ROOT / "matrix").as_posix() for file in EXAMPLES.iterdir()]
    assert all(any(fnmatch(file, pattern) for pattern in held) for file in files)
