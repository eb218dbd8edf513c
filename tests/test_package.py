"""What is uploaded: a wheel and a source distribution that work without this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
READ = ("docs", "containers")
"""Folders that people read."""


def project_files() -> list[str]:
    """Tracked files, and those that will be."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(name for name in listed if name and (ROOT / name).is_file())


def packaged() -> set[str]:
    """Files of the project that are installed as packages."""
    return {name for name in project_files() if name.startswith(("bench/", "matrix/", "reports/"))}


def test_what_is_uploaded_names_no_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    assert not [text for text in asked if "@" in text]


RECIPES = ROOT / "containers" / "spack" / "spack_repo" / "xffl_bench" / "packages"


def required() -> dict[str, Requirement]:
    """What pip installs with it, by name."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return {found.name: found for found in map(Requirement, asked)}


def test_the_recipe_for_spack_asks_for_what_pip_asks_for() -> None:
    recipe = (RECIPES / "py_xffl_bench" / "package.py").read_text()
    wanted = [f'"py-{name}@{str(asked.specifier).removeprefix(">=")}:"' for name, asked in required().items()]
    assert re.findall(r'depends_on\(("py-\S+:"), type="run"\)', recipe) == wanted


def test_recipes_beside_it_have_versions_that_it_asks_for() -> None:
    beside = [folder for folder in RECIPES.iterdir() if folder.name != "py_xffl_bench" and folder.is_dir()]
    assert beside
    for folder in beside:
        (version,) = re.findall(r'\bversion\("(\S+)", sha256="[0-9a-f]{64}"\)', (folder / "package.py").read_text())
        assert version in required()[folder.name.removeprefix("py_").replace("_", "-")].specifier


def test_the_easyconfig_loads_versions_that_pip_would_take() -> None:
    """In EasyBuild's names; what it packs in bundles is only looked for."""
    (file,) = (ROOT / "containers" / "easybuild").glob("*.eb")
    easyconfig: dict[str, Any] = {}
    exec(file.read_text(), easyconfig)  # an easyconfig is Python
    loaded = dict(easyconfig["dependencies"])
    named = {"pyarrow": "Arrow", "nvidia-ml-py": "pyNVML", "torch": "PyTorch", "datasets": "HF-Datasets"}
    named |= {"plotly": "plotly.py", "pyyaml": "PyYAML", "transformers": "Transformers", "safetensors": "Safetensors"}
    bundles = {"Python-bundle-PyPI": ("jinja2", "markupsafe", "psutil", "rich"), "huggingface-hub": ("typer",)}
    bundles |= {"SciPy-bundle": ("numpy", "pandas", "scipy")}
    bundled = {name for bundle, held in bundles.items() if bundle in loaded for name in held}
    for name, asked in required().items():
        assert name in bundled or loaded[named.get(name, name)] in asked.specifier, name


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `python -m build` made of the project's files alone."""
    folder = tmp_path_factory.mktemp("package")
    for name in project_files():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "source")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


def test_a_source_distribution_holds_the_project(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    left = {name for name in project_files() if name not in held}
    assert not [name for name in left if not name.startswith((".github/", ".ci/", ".gitignore"))]


def test_a_wheel_holds_packages_examples_docs_and_containers(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert not packaged() - held
    assert {f"{package}/py.typed" for package in ("bench", "matrix", "reports")} <= held
    share = "xffl_bench-0.1.0.data/data/share"
    places = {"docs": f"{share}/doc/xffl-bench", "containers": f"{share}/xffl-bench/containers"}
    read = [name.split("/", 1) for name in project_files() if name.startswith(READ)]
    assert not [f"{folder}/{name}" for folder, name in read if f"{places[folder]}/{name}" not in held]
    assert not [name for name in held if name.startswith("tests/")]


def test_what_the_dockerfile_copies_is_enough_to_install(tmp_path: Path) -> None:
    """Docs are not in an image, and a build finds no fault with that."""
    copied = re.findall(r"^COPY (.+) /source/", (ROOT / "containers" / "Dockerfile").read_text(), re.MULTILINE)
    parts = tuple(part for line in copied for part in line.split())
    for name in project_files():
        if name in parts or name.partition("/")[0] in parts:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    words = [sys.executable, "-m", "build", "--no-isolation", "--wheel", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert not packaged() - set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.soak
def test_an_installed_wheel_works_away_from_the_checkout(built: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows this one's packages but not this one's xffl-bench."""
    (wheel,) = built.glob("*.whl")
    venv, work = tmp_path / "venv", tmp_path / "work"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XFFL_BENCH"))}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    words = [sys.executable, "-m", "pip", "--quiet", "--python", str(python)]
    subprocess.run([*words, "install", "--no-deps", "--no-index", str(wheel)], env=environment, check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    borrowed = venv / "lib" / version / "site-packages" / "borrowed.pth"
    borrowed.write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # .pth files there, such as an editable one, have no effect
    work.mkdir()

    def call(*words: str) -> str:
        done = subprocess.run(
            [venv / "bin" / "xffl-bench", *words],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import bench, matrix, reports; print(*(each.__file__ for each in (bench, matrix, reports)))"
    done = subprocess.run([python, "-c", where], cwd=work, env=environment, capture_output=True, text=True, check=True)
    assert all(Path(file).is_relative_to(venv) for file in done.stdout.split())
    call("init")
    call("data", "synthetic", "data/synthetic-tiny")
    short = ("training.steps=8", "training.warmup_steps=4", "repeats=1", "--only", "nodes=1")
    assert "fsdp" in call("plan", "my-sweep.yaml", *short)
    call("run", "my-sweep.yaml", *short)
    assert "completed" in call("status", "my-sweep")
    assert "tokens/s" in call("report", "my-sweep")
    assert (work / "results" / "my-sweep" / "report" / "report.md").is_file()
    assert (venv / "share" / "doc" / "xffl-bench" / "guides" / "cluster.md").is_file()
