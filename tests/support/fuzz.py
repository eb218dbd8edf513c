"""Random damage to the files that users write and that sweeps leave, and commands that read them.

`python -m tests.support.fuzz KIND FIRST COUNT` damages files of a kind, one with each seed from FIRST on, and prints
what should not have happened: a traceback, a status other than 0, 1 and 2, no sentence, or too long a time.
Its last line is the largest resident memory in bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

LONGEST = 20  # seconds of CPU time: other work must not count
ASLEEP = 120  # seconds of waiting for something, such as a FIFO
FAULTS = 40  # that three changes of a file may make
EXAMPLES = Path(__file__).parents[2] / "matrix" / "examples"
PIECES = [
    "2024-02-30", "0x_", "!!int abc", "1" * 5000, "[" * 500, "~nosuchuser", "\0", "\\ud800", "[/x]", "*a", "&a", "<<",
    "1e999", "-1", "9223372036854775808", "a=b", "$x_{", "{", "}", ":", "- ", "? ", "!!set", "%YAML 1.1", "\t", "'",
    "null", "~", "true", "no", "0", "1e-300", ".nan", "-.inf", "\ufeff", "\u202e", "{}", "[]", '""', "${HOME}", "%s",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -1e-320, float("nan"),
    float("inf"), "", "x", "0", "\0", "[/x]", "../..", "/", "x" * 5000, "llama", "\ud800", [], [[]], [None], {},
    {"": 0}, {"version": 2}, ["a", 1], "2024-02-30T00:00:00Z",
]  # fmt: skip


def damaged_text(random: Random, text: str) -> bytes:
    """Replace up to three pieces of a text, or lines of it, or bytes."""
    content = text.encode()
    for _ in range(random.randint(1, 3)):
        begin = random.randint(0, len(content))
        end = min(len(content), begin + random.choice([0, 1, 4, 12]))
        lines = content.splitlines(keepends=True) or [b""]
        match random.randrange(6):
            case 0 | 1:
                content = content[:begin] + random.choice(PIECES).encode() + content[end:]
            case 2:
                content = content[:begin] + random.randbytes(random.randint(0, 3)) + content[end:]
            case 3:
                random.shuffle(lines)
                content = b"".join(lines)
            case 4:
                line = random.randrange(len(lines))
                content = b"".join([*lines[:line], random.choice(lines), *lines[line + 1 :]])
            case _:
                line = random.randrange(len(lines))
                before, colon, _ = lines[line].partition(b":")
                lines[line] = before + colon + b" " + random.choice(PIECES).encode() + b"\n"
                content = b"".join(lines)
    return content


def damaged_document(random: Random, document: Any) -> bytes:
    """Change, remove, rename or add up to three values anywhere in a document."""
    for _ in range(random.randint(1, 3)):
        places = list(places_of(document))
        if not places:
            return json.dumps(random.choice(VALUES)).encode()
        holder, key = random.choice(places)
        match random.randrange(5):
            case 0 | 1 | 2:
                holder[key] = random.choice(VALUES)
            case 3:
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[random.choice(["unknown", "version", f"{key}s", ""])] = holder.pop(key)
            case _:
                holder.append(holder[key])
    return json.dumps(document).encode()


def places_of(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places_of(node[key])


def damage(random: Random, file: Path) -> None:
    """Damage a file in place: as a document if it is one, else as a text, else as bytes; or put a folder there."""
    content = file.read_bytes()
    if random.random() < 0.03:
        file.unlink()
        file.mkdir()
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        at = random.randrange(len(content))
        file.write_bytes(content[:at] + random.choice([b"", random.randbytes(4) + content[at + 4 :]]))
        return
    if file.suffix == ".json" and random.random() < 0.8:
        with contextlib.suppress(ValueError):
            file.write_bytes(damaged_document(random, json.loads(text)))
            return
    file.write_bytes(damaged_text(random, text))


def call(*words: str) -> str:
    """Call the command line; return what is wrong with its end, or ""."""
    from matrix.cli.app import main

    errors = io.StringIO()
    status: object = 0
    sys.argv = ["xffl-bench", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    said = errors.getvalue().splitlines()
    if status not in (0, 1, 2):
        return f"status {status}"
    if status == 2 and (not said or not said[0].startswith("xffl-bench: ") or len(said) > FAULTS):
        return f"not a sentence for each fault: {said}"
    return ""


class Fuzz:
    """A kind of files, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def matrix(self, random: Random) -> str:
        """Plan an example with damage."""
        file = self.folder / "matrix.yaml"
        source = random.choice([EXAMPLES / f"{name}.yaml" for name in ("demo", "nightly", "one-gpu", "options")])
        shutil.copy(source, file)
        damage(random, file)
        return call("plan", str(file), "--results", str(self.folder / "results"))

    def system(self, random: Random) -> str:
        """Plan on an example of a system with damage."""
        file = self.folder / "system.yaml"
        names = ("local", "leonardo", "one-gpu-system", "virtual-cluster", "virtual-cluster-xffl")
        shutil.copy(EXAMPLES / f"{random.choice(names)}.yaml", file)
        shutil.copy(EXAMPLES / "cpu-facility.sh", self.folder)
        damage(random, file)
        return call("plan", str(EXAMPLES / "demo.yaml"), "--system", str(file), "--results", str(self.folder / "r"))

    def config(self, random: Random) -> str:
        """Plan for a model whose config.json has damage."""
        model = self.folder / "model"
        model.mkdir()
        rope = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64}  # fmt: skip
        shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
                 "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "hidden_act": "silu", "torch_dtype": "float32",
                 "bos_token_id": 1, "eos_token_id": [2, 3], "attention_bias": False}  # fmt: skip
        kinds: list[dict[str, Any]] = [
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_scaling": rope, "rope_theta": 5e5},
            {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
            {"model_type": "llama", "rope_parameters": {**rope, "rope_theta": 1e4}},
        ]
        file = model / "config.json"
        file.write_text(json.dumps(shape | random.choice(kinds), indent=1), encoding="utf-8")
        damage(random, file)
        matrix = self.folder / "matrix.yaml"
        matrix.write_text(
            "{name: x, models: {mine: {path: model}}, axes: {model: mine, strategy: fsdp, nodes: 1, batch_size: 2}, "
            "training: {sequence_length: 32, steps: 4, warmup_steps: 1}, data: {path: data}}",
            encoding="utf-8",
        )
        return call("plan", str(matrix), "--results", str(self.folder / "results"))

    def results(self, random: Random) -> str:
        """Show and report a sweep of which one to three files have damage."""
        from reports.data.faults import ReportError
        from reports.render.exporters import EXPORTERS
        from reports.render.plotting.plots import PICTURES
        from reports.render.write import write_report
        from tests.support.earlier import unpack

        sweep = unpack(self.folder)
        for _ in range(random.randint(1, 3)):
            damage(random, random.choice(sorted(file for file in sweep.rglob("*") if file.is_file())))
        if wrong := call("status", str(sweep)):
            return wrong
        exporters = [each for each in EXPORTERS if each is not PICTURES or random.random() < 0.05]  # they take seconds
        try:
            write_report(sweep, self.folder / "report", exporters)
        except ReportError as error:
            return "" if len(str(error).splitlines()) == 1 else f"not one sentence: {error}"
        return ""


def _too_long(_: int, frame: FrameType | None) -> None:
    raise RuntimeError(f"used the CPU for {LONGEST} s, or slept for {ASLEEP} s")


def main(kind: str, first: int, count: int) -> None:
    """Damage `count` files, and print what should not have happened."""
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _too_long)
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            work: Callable[[Random], str] = getattr(Fuzz(Path(folder)), kind)
            signal.alarm(ASLEEP)
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                wrong = work(Random(seed))
            except Exception:  # noqa: BLE001 - any is a finding
                wrong = traceback.format_exc()
            finally:
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
        if wrong:
            print(f"{kind} {seed}: {wrong}", flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
