"""The reading of YAML: what is written is what is meant, or it is refused in one sentence."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from matrix.config.reading.yamlfile import LARGEST, read_yaml
from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.planning.prepare import prepare

MATRIX = """name: piped
axes: {model: llama-tiny, strategy: fsdp, nodes: 1, batch_size: 2}
training: {sequence_length: 32, steps: 4, warmup_steps: 1}
data: {path: data}
"""
SYSTEM = "{name: x, device: cpu, nodes: 1, ranks_per_node: 2, %s}"


def read(folder: Path, text: str) -> object:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return read_yaml(path).data


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("010", "010"),
        ("00.5", "00.5"),
        ("1:30", "1:30"),
        ("22:22", "22:22"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("0x_", "0x_"),
        ("0b11", "0b11"),
        ("2024-02-30", "2024-02-30"),
        ("2024-02-28", "2024-02-28"),
        ("=", "="),
        ("0x1F", 31),
        ("0o17", 15),
        ("+12", 12),
        ("-0", 0),
        ("1e-3", 0.001),
        (".5e-3", 0.0005),
        ("1.", 1.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_are_read_as_in_yaml_1_2(tmp_path: Path, written: str, value: object) -> None:
    found = read(tmp_path, f"key: {written}")
    assert found == {"key": value}
    assert isinstance(found, dict)
    assert isinstance(found["key"], type(value))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("key: !!int abc", ":1: cannot be read: 'abc' should be a number"),
        (f"key: {'1' * 5000}", "should be a number"),
        ("key: !!bool maybe", ":1: cannot be read: 'maybe' should be true or false"),
        ("a: 1\nkey: .inf", ":2: cannot be read: .inf should be a finite number"),
        ("key: !!timestamp 2024-02-30", "could not determine a constructor"),
        ("key: !!binary xx", "could not determine a constructor"),
        ("key: !!python/object:os.system x", "could not determine a constructor"),
        ("[" * 500, "nested too deeply"),
        ("{a: " * 500, "nested too deeply"),
        ('key: "\\ud800"', "has a character that no file or variable can hold"),
        ('key: "a\\0b"', "has a character that no file or variable can hold"),
        ("key: \0", "special characters are not allowed"),
        ("a: {<<: {b: 1}, <<: {c: 2}}", r"a second '<<' .* write one, as `<<: \[\*first, \*second\]`"),
        ("a: 1\na: 2", ":2: the key 'a' is already given on line 1: keep one of them"),
        ("#" * (LARGEST + 1), "has more than 16 MiB"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as refused:
        read(tmp_path, text)
    assert len(str(refused.value).splitlines()) == 1


def test_both_of_two_merge_keys_count(tmp_path: Path) -> None:
    merged = read(tmp_path, "x: &a {p: 1, q: 1}\ny: &b {q: 2, r: 2}\nz: {<<: [*a, *b], r: 3}")
    assert isinstance(merged, dict)
    assert merged["z"] == {"p": 1, "q": 1, "r": 3}


def test_a_variable_is_the_text_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "system.yaml"
    given = "MY_UMASK: 0027, PORT_MAP: 22:22, A_VERSION: 1.10, NCCL_BUFFSIZE: 1e6, HEX: 0x1F, OFF: no, N: 4"
    path.write_text(SYSTEM % f"environment: {{{given}}}", encoding="utf-8")
    assert load_system(path).environment == dict(pair.split(": ", 1) for pair in given.split(", "))


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("environment: {A: true}", "environment.A: should be text, not true: put it in quotes, as 'true'"),
        ("scheduler: slurm, slurm: {modules: [3.10]}", r"slurm.modules\[0\]: should be text, not 3.10: put it in qu"),
        ("scheduler: slurm, slurm: {qos: 0o17}", "slurm.qos: should be text, not 0o17: put it in quotes, as '0o17'"),
        ("threads_per_rank: 010", "threads_per_rank: should be a whole number, not '010'"),
        ("threads_per_rank: 1:30", "threads_per_rank: should be a whole number, not '1:30'"),
    ],
)
def test_a_fault_shows_what_was_written_and_the_remedy(tmp_path: Path, block: str, fault: str) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(SYSTEM % block, encoding="utf-8")
    with pytest.raises(InputError, match=fault):
        load_system(path)


def test_a_sweep_records_the_text_that_was_read(tmp_path: Path) -> None:
    """From pipes, which have it only once; the file may also change before a second reading."""
    ends = []
    for text in (MATRIX, SYSTEM % "threads_per_rank: 1"):
        reading, writing = os.pipe()
        threading.Thread(target=lambda end=writing, text=text: (os.write(end, text.encode()), os.close(end))).start()
        ends.append(reading)
    prepared = prepare(Path(f"/dev/fd/{ends[0]}"), f"/dev/fd/{ends[1]}", [], [])
    record = prepared.record()
    assert (record.matrix, record.system) == (MATRIX, SYSTEM % "threads_per_rank: 1")
    for end in ends:
        os.close(end)
