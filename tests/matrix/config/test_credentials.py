"""Secrets are refused in files that are copied into results, and what is exported in the shell is recorded nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.config.reading.credentials import REMEDY
from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.launchers.torchrun import agent_variables
from tests.support.planning import LoadText
from tests.support.runs import make_run
from tests.support.sweeps import SmallSweep

LETTERS = "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"


def system_file(folder: Path, more: str) -> Path:
    path = folder / "system.yaml"
    path.write_text(f"name: x\ndevice: cpu\nnodes: 1\nranks_per_node: 2\n{more}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "anything"),
        ("WANDB_API_KEY", "0123456789abcdef"),
        ("AWS_SECRET_ACCESS_KEY", "anything"),
        ("MY_SECRET", "anything"),
        ("DB_PASSWORD", "12345678"),
        ("db_password", "anything"),
        ("TOKEN", "anything"),
        ("https_proxy", "http://me:pw@proxy.example.org:3128"),
        ("PIP_EXTRA_INDEX_URL", "https://:pw@packages.example.org/simple"),
        ("A", f"hf_{LETTERS}"),
        ("A", f"ghp_{LETTERS}"),
        ("A", f"github_pat_{LETTERS}"),
        ("A", f"sk-proj-{LETTERS}"),
        ("A", "AKIAIOSFODNN7EXAMPLE"),
        ("A", f"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.{LETTERS}"),
    ],
)
def test_a_secret_among_the_variables_is_refused(tmp_path: Path, name: str, value: str) -> None:
    path = system_file(tmp_path, f"environment:\n  {name}: {value}")
    with pytest.raises(InputError) as refused:
        load_system(path)
    assert str(refused.value) == f"{path}:6: environment.{name}: {REMEDY}"


@pytest.mark.parametrize(
    "pair",
    [
        "NCCL_DEBUG: WARN",
        "NCCL_IB_PKEY: 1",
        "TOKENIZERS_PARALLELISM: 'false'",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN: 1",
        "HF_TOKEN_PATH: /home/me/token",
        "https_proxy: http://proxy.example.org:3128",
        "REPOSITORY: ssh://git@example.org/a.git",
        "HF_HUB_ENABLE_HF_TRANSFER: hf_transfer",
        "A: disk-with-a-long-name-of-its-own",
    ],
)
def test_what_is_no_secret_is_passed_on(tmp_path: Path, pair: str) -> None:
    name, _, value = pair.partition(": ")
    assert load_system(system_file(tmp_path, f"environment: {{{pair}}}")).environment == {name: value.strip("'")}


def test_a_token_anywhere_in_either_file_is_refused(tmp_path: Path, load: LoadText, small: str) -> None:
    path = system_file(tmp_path, f"scheduler: slurm\nslurm:\n  setup: [cd, export HF_TOKEN=hf_{LETTERS}]")
    with pytest.raises(InputError) as refused:
        load_system(path)
    assert str(refused.value) == f"{path}:7: slurm.setup[1]: {REMEDY}"
    with pytest.raises(InputError, match=r"wandb.entity: looks like a secret"):
        load(f"{small}wandb: {{entity: hf_{LETTERS}}}\n")


def test_the_command_refuses_with_status_2_and_writes_nothing(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data, system={"environment": {"HF_TOKEN": f"hf_{LETTERS}"}})
    sweep.write(["fsdp"])
    said = sweep.run(expect=2)
    assert "environment.HF_TOKEN: looks like a secret" in " ".join(said.split())
    assert LETTERS not in said
    assert not sweep.results.exists()


def test_an_exported_secret_reaches_ranks_and_no_file(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"HF_TOKEN": f"hf_{LETTERS}", "WANDB_API_KEY": LETTERS[::-1]}
    sweep = SmallSweep(tmp_path, data, variables=secrets)
    sweep.write(["fsdp"])
    said = sweep.run() + sweep.run("--dry-run")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "result.json" for file in files)
    for value in secrets.values():
        assert value not in said
        assert [file for file in files if value.encode() in file.read_bytes()] == []
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    variables = agent_variables(make_run(data, (1, 1, 1)), "owner/1", "commit")
    assert {name: variables.get(name) for name in secrets} == secrets
