from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.host import provenance


def test_environment_by_an_allow_list_and_never_a_secret() -> None:
    environment = {
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
        "TORCH_DISTRIBUTED_DEBUG": "OFF",
        "CUDA_VISIBLE_DEVICES": "0",
        "HOME": "/home/someone",
        "WANDB_API_KEY": "no",
        "NCCL_AUTH_TOKEN": "no",
        "CUDA_SECRET": "no",
        "TORCHELASTIC_RUN_ID": "differs from run to run",
        "MASTER_PORT": "20001",
        "FIREWALL": "not libfabric's",
    }
    found = provenance.allowed_environment(environment)
    assert found == {
        "CUDA_VISIBLE_DEVICES": "0",
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
        "TORCH_DISTRIBUTED_DEBUG": "OFF",
    }


def test_commit_is_what_the_launcher_said_of_this_very_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XFFL_BENCH_COMMIT", provenance.commit_text("abc123", dirty=True))
    assert provenance.commit() == ("abc123", True)
    monkeypatch.setenv("XFFL_BENCH_COMMIT", provenance.commit_text("abc123", dirty=False))
    assert provenance.commit() == ("abc123", False)
    own = provenance.commit_of(provenance.ROOT)
    for said in (provenance.commit_text("abc123", dirty=True, root=tmp_path), "abc123 dirty", "abc123", ""):
        monkeypatch.setenv("XFFL_BENCH_COMMIT", said)
        assert provenance.commit() == own, said


def test_a_users_own_file_in_the_checkout_is_no_change_of_the_harness(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "training.py").write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "--message", "one")
    head = git("rev-parse", "HEAD").strip()
    (tmp_path / "my-sweep.yaml").write_text("name: mine\n")
    assert provenance.commit_of(tmp_path) == (head, False)
    (tmp_path / "bench" / "new.py").write_text("2\n")
    assert provenance.commit_of(tmp_path) == (head, True)
    (tmp_path / "bench" / "new.py").unlink()
    (tmp_path / "bench" / "training.py").write_text("3\n")
    assert provenance.commit_of(tmp_path) == (head, True)


X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu vme

processor\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
"""
ARM = """processor\t: 0
BogoMIPS\t: 2000.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd4f
"""


def test_the_processor_is_named_and_on_arm_by_its_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    file = tmp_path / "cpuinfo"
    for text, model in (
        (X86, "AMD EPYC 7763 64-Core Processor"),
        (ARM, "aarch64 implementer 0x41 part 0xd4f"),
        ("processor: 0\n", "aarch64"),
    ):
        file.write_text(text)
        assert provenance.cpu_model(file) == model
    assert provenance.cpu_model(), "of this machine"
