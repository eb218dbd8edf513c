"""`export --public`: nothing of whose it was is left, and the report of the pack is the report of the sweep."""

from __future__ import annotations

import getpass
import hashlib
import json
import subprocess
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import reports
from bench.contract.results.measured import Seat
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Allocation
from bench.contract.results.result import Result as RunResult
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from matrix.cli.app import app
from matrix.errors import InputError
from matrix.publishing.names import Names
from matrix.publishing.pseudonyms import Pseudonyms
from matrix.store.sweep_record import SweepRecord
from reports.data.frame import load
from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.write import write_report
from tests.support.documents import SweepDocuments
from tests.support.earlier import extract

PRIVATE = ("lrdn0001", "lrdn0002", "cluster.example.org", "mrossi", "EUHPC_D77", "mario.rossi", "10.128.3.4", "hf_abcd")
"""What identifies the cluster and its user below."""
HOSTS = ["lrdn0001.cluster.example.org", "lrdn0002.cluster.example.org"]
SYSTEM = """\
name: booster
scheduler: slurm
device: cpu
nodes: 2
ranks_per_node: 4
slurm:
  account: EUHPC_D77
  sbatch: ["--mail-user=mario.rossi@example.org", --comment=mrossi]
xffl: {hosts: [lrdn0001, lrdn0002], venv: /home/mrossi/venv}
"""
MATRIX = "name: hand-made\n# of mrossi\ndata: /leonardo_work/EUHPC_D77/mrossi/data\nsystem: /home/mrossi/system.yaml\n"


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDocuments:
    """A sweep of two hosts, whose documents name hosts, users, accounts and folders wherever they can."""
    made = SweepDocuments(tmp_path / "results" / "sweep")
    place = Allocation(job="4711", hosts=HOSTS, switches=dict.fromkeys(HOSTS, "leaf3"))
    for strategy in ("fsdp", "hsdp"):
        for identity in made.run(strategy, 2, speeds=[2000.0, 2100.0, 1900.0]):
            _with_names(made, identity, place)
    for identity in made.run("fsdp", 1)[:1]:
        made.end(identity, Outcome.CRASHED, "lrdn0001: Permission denied for mrossi@lrdn0001", allocation=place)
        result = RunResult.model_validate_json(made.folder(identity).result.read_text())
        lines = ["connect to 10.128.3.4 failed, nodes lrdn[0001-0002]", f"token hf_{'abcd' * 8} in /home/mrossi/x"]
        write_document(made.folder(identity).result, result.model_copy(update={"evidence": lines}))
    (made.write() / "matrix.yaml").write_text(MATRIX)
    (made.path / "system.yaml").write_text(SYSTEM)
    record = SweepRecord.now("hand-made", MATRIX, SYSTEM, "", {"m": "/home/mrossi/models"}, "ab" * 32)
    write_document(made.path / "sweep.json", record)
    logs = made.path / "runs" / identity / "attempts" / "0" / "logs"
    logs.mkdir(parents=True)
    (logs / "rank00000.log").write_text("mrossi on lrdn0001")
    return made


def _with_names(sweep: SweepDocuments, identity: str, place: Allocation) -> None:
    sweep.steps(identity, [[5.0, 3.0]], tokens=[400])
    folder = sweep.folder(identity)
    run = Run.model_validate_json(folder.run.read_text())
    write_document(folder.run, run.model_copy(update={"data": "/leonardo_work/EUHPC_D77/mrossi/data"}))
    table = pq.read_table(folder.steps)
    pq.write_table(table.replace_schema_metadata({"made": "by mrossi on lrdn0002"}), folder.steps)
    digest = hashlib.sha256(folder.steps.read_bytes()).hexdigest()
    result = RunResult.model_validate_json(folder.result.read_text())
    assert result.measured is not None
    seats = [
        Seat(rank=rank, host=HOSTS[rank // 4], local_rank=rank % 4, device="cpu", cores=str(rank)) for rank in range(8)
    ]
    packages = {"torch": "2.8.0", "nvidia-cudnn-cu12": "10.128.3.4"}  # a version, and no address
    update = {"hosts": HOSTS, "seats": seats, "packages": packages, "environment": {"GLOO_SOCKET": "lrdn0001:10"}}
    origin = result.measured.provenance.model_copy(update=update)
    measured = result.measured.model_copy(update={"provenance": origin, "steps_digest": digest})
    changes = {"allocation": place, "measured": measured, "session": "job 4711 of mrossi", "slow_hosts": [HOSTS[1]]}
    write_document(folder.result, result.model_copy(update=changes))


def export(sweep: SweepDocuments, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["export", str(sweep.path), str(out), *options], env={"COLUMNS": "200"})


def leaks(folder: Path) -> list[str]:
    """Return what of `PRIVATE` is in a name or in the content of a file, in Parquet also behind the compression."""
    found = []
    for path in folder.rglob("*"):
        content = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            content += repr(table.to_pydict()).encode() + repr(table.schema.metadata).encode()
        text = content.lower().replace(b'"nvidia-cudnn-cu12": "10.128.3.4"', b"").replace(b"cu12==10.128.3.4", b"")
        found += [f"{path.name}: {word}" for word in PRIVATE if word.lower().encode() in text]
    return found


@pytest.fixture
def pack(sweep: SweepDocuments, tmp_path: Path) -> Path:
    done = export(sweep, tmp_path / "pack.tar.gz", "--public")
    assert done.exit_code == 0, done.output
    extract(tmp_path / "pack.tar.gz", tmp_path / "unpacked")
    return tmp_path / "unpacked" / "hand-made"


def test_no_name_is_left_in_any_byte(sweep: SweepDocuments, pack: Path) -> None:
    assert {word for line in leaks(sweep.path) for word in PRIVATE if line.endswith(word)} == {*PRIVATE}
    assert leaks(pack.parent) == []
    assert not list(pack.rglob("*.log"))


def test_the_same_host_has_the_same_pseudonym_everywhere(pack: Path) -> None:
    results = [RunResult.model_validate_json(path.read_text()) for path in sorted(pack.glob("runs/*/result.json"))]
    measured = [result for result in results if result.measured is not None]
    hosts = {tuple(result.measured.provenance.hosts) for result in measured if result.measured}
    assert hosts == {("host-1.domain-1", "host-2.domain-1")}
    for result in measured:
        assert result.allocation is not None
        assert result.measured is not None
        assert result.allocation.hosts == result.measured.provenance.hosts == [*result.allocation.switches]
        assert [seat.host for seat in result.measured.provenance.seats][3:5] == result.allocation.hosts
        assert result.measured.provenance.packages["nvidia-cudnn-cu12"] == "10.128.3.4"
    (crashed,) = (result for result in results if result.outcome is Outcome.CRASHED)
    assert crashed.reason == "host-1: Permission denied for user-1@host-1"
    assert crashed.evidence == ["connect to address-1 failed, nodes hosts", "token [secret removed] in /home/user-1/x"]
    system = (pack / "system.yaml").read_text()
    assert "account: account-1" in system
    assert "hosts: [host-1, host-2], venv: /home/user-1/venv" in system
    assert json.loads((pack / "sweep.json").read_text())["system"] == system


def test_the_report_of_the_pack_is_that_of_the_sweep(sweep: SweepDocuments, pack: Path, tmp_path: Path) -> None:
    formats = exporters([Format.CSV, Format.MARKDOWN])
    ours = write_report(sweep.path, tmp_path / "ours", formats)
    theirs = write_report(pack, tmp_path / "theirs", formats)
    assert theirs.problems == ours.problems == []
    assert (tmp_path / "theirs/tables.csv").read_text() == (tmp_path / "ours/tables.csv").read_text()
    assert theirs.answers == ours.answers
    private = {"reason", "session", "slow_hosts", "hosts", "seats", "environment", "switches"}
    frames = [load(folder).frame.drop(columns=[*private]) for folder in (sweep.path, pack)]
    pd.testing.assert_frame_equal(*frames)
    assert load(pack).courses.keys() == load(sweep.path).courses.keys() != set()
    assert CliRunner().invoke(app, ["status", str(pack)]).exit_code == 1, "a run crashed"


def without_names_in_settings(sweep: SweepDocuments) -> None:
    for folder in (sweep.folder(run) for cell in sweep.cells for run in cell.runs):
        if not folder.result.is_file():
            continue
        run = Run.model_validate_json(folder.run.read_text())
        write_document(folder.run, run.model_copy(update={"data": "/data/shards"}))
        result = RunResult.model_validate_json(folder.result.read_text())
        if (measured := result.measured) is not None:
            origin = measured.provenance.model_copy(update={"environment": {"GLOO_SOCKET": "eth0"}})
            measured = measured.model_copy(update={"provenance": origin})
            write_document(folder.result, result.model_copy(update={"measured": measured}))


@pytest.mark.parametrize("options", [(), ("--public",)])
def test_a_pack_compares_with_its_sweep(sweep: SweepDocuments, tmp_path: Path, options: tuple[str, ...]) -> None:
    if options:
        without_names_in_settings(sweep)
    assert export(sweep, tmp_path / "folder", *options).exit_code == 0
    figures = reports.compare(sweep.path, tmp_path / "folder")
    assert {*figures["metric"]} >= {"tokens_per_s", "peak_memory_gib", "loss_validation"}
    assert figures["ratio"].tolist() == [1.0] * len(figures)


def test_public_packs_compare_with_each_other_where_settings_have_names(sweep: SweepDocuments, pack: Path) -> None:
    with_sweep = reports.compare(sweep.path, pack)
    assert {*with_sweep["verdict"]} == {"not-comparable"}
    (reason,) = {*with_sweep["reason"]}
    assert [part.partition(": ")[0] for part in reason.split("; ")] == ["data", "provenance.environment.GLOO_SOCKET"]
    assert export(sweep, pack.parent / "other", "--public").exit_code == 0
    figures = reports.compare(pack, pack.parent / "other")
    assert figures["ratio"].tolist() == [1.0] * len(figures) != []


def test_checksums_versions_and_the_image_are_packed(pack: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=pack, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = {line.split()[1] for line in (pack / "SHA256SUMS").read_text().splitlines()}
    assert listed == {str(path.relative_to(pack)) for path in pack.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    manifest = json.loads((pack / "pack.json").read_text())
    assert manifest["image"] == "ab" * 32
    assert (manifest["runs"], manifest["results"], manifest["commits"]) == (9, 7, ["5a4f864"])
    assert "torch==2.8.0\n" in (pack / "lock.txt").read_text()


def test_equal_packs_are_equal_files_and_none_is_overwritten(sweep: SweepDocuments, tmp_path: Path) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        assert export(sweep, tmp_path / name, "--public").exit_code == 0
    content = (tmp_path / "a.tar.gz").read_bytes()
    assert content == (tmp_path / "b.tar.gz").read_bytes()
    assert content[4:8] == bytes(4), "the header's time"
    again = export(sweep, tmp_path / "a.tar.gz", "--public")
    assert isinstance(again.exception, InputError)
    assert "already exists" in str(again.exception)


def test_without_public_names_stay_and_secrets_do_not(sweep: SweepDocuments, tmp_path: Path) -> None:
    assert export(sweep, tmp_path / "folder").exit_code == 0
    found = leaks(tmp_path / "folder")
    assert "system.yaml: mrossi" in found
    assert not [line for line in found if line.endswith("hf_abcd")]


def test_a_damaged_file_is_left_out_and_named(sweep: SweepDocuments, tmp_path: Path) -> None:
    identity = sweep.cells[0].runs[0]
    sweep.folder(identity).result.write_text('{"run": "mrossi')
    done = export(sweep, tmp_path / "folder", "--public")
    assert f"left out, because it is damaged: runs/{identity}/result.json" in done.output
    assert leaks(tmp_path / "folder") == []


@pytest.mark.parametrize(
    ("host", "sentence"), [("cpu", "is also a word of this field"), ("training", "also a word of this file")]
)
def test_a_name_that_is_a_word_of_the_documents_is_refused(
    sweep: SweepDocuments, tmp_path: Path, host: str, sentence: str
) -> None:
    (sweep.path / "system.yaml").write_text(SYSTEM.replace("lrdn0002", host))
    done = export(sweep, tmp_path / "folder", "--public")
    assert isinstance(done.exception, InputError)
    assert sentence in str(done.exception)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node1 and node10, Node1.example.org", "host-2 and host-3, host-2.domain-1"),
        ("node[1,10-12] of host-1", "hosts of host-4"),
        ("/home/anna/x, /data/anna_old, /scratch/al/x", "/home/user-1/x, /data/user-1_old, /scratch/user-2/x"),
        ("also annabel, a and vm", "also annabel, a and host-5"),
        ("/u/staff/anna: anna@node1", "/home/home-1: user-1@host-2"),
        ("https://anna:pw@node1/x.git", "https[secret removed]"),
        ("Node1.EXAMPLE.org, node10.cluster.site.edu:22.", "host-2.domain-1, host-3.domain-2:22."),
        ("node10.cluster.site.edu node1.cluster.site.edu, node10.log", "host-3.domain-2 host-2.domain-2, host-3.log"),
        ("versions 12.8.4.1 and 10.0.0.1:29500, 8.8.8.8:53", "versions 12.8.4.1 and address-1, address-2:53"),
    ],
)
def test_names_are_replaced_as_words(text: str, expected: str) -> None:
    names = Names()
    for host in ("node1.example.org", "node10", "host-1", "vm", "a"):
        names.add_host(host)
    names.add_user("anna", "/u/staff/anna")
    names.add_user("al", "/home/al")
    replaced = Pseudonyms(names).text(text)
    assert replaced == expected.replace("address-1,", "address-1:29500,")
    assert Pseudonyms(names).text(replaced) == replaced or "host-1" in text


def test_a_host_with_a_short_name_is_replaced_where_only_hosts_are() -> None:
    names = Names()
    names.add_host("a.example.org")
    names.add_host("131.114.2.7")
    switches = {"a.example.org": "leaf1"}
    document = {
        "hosts": ["a", "a.example.org", "131.114.2.7"],
        "seats": [{"host": "a"}],
        "switches": switches,
        "reason": "a fault",
    }
    assert Pseudonyms(names).document(document) == {
        "hosts": ["host-1", "host-1.domain-1", "host-2"],
        "seats": [{"host": "host-1"}],
        "switches": {"host-1.domain-1": "leaf1"},
        "reason": "a fault",
    }


@pytest.mark.parametrize("error", [KeyError, OSError])  # the latter from Python 3.13 on
def test_a_user_without_name_or_home_can_export(
    sweep: SweepDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def unknown(*_: object) -> str:
        raise error("getpwuid(): uid not found: 4711")

    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(getpass, "getuser", unknown)
    monkeypatch.setattr(Path, "home", homeless)
    assert export(sweep, tmp_path / "folder", "--public").exit_code == 0
    assert leaks(tmp_path / "folder") == []


def test_texts_in_steps_are_replaced_too(sweep: SweepDocuments, tmp_path: Path) -> None:
    """Of a later version, which may have more columns."""
    identity = sweep.cells[0].runs[0]
    folder = sweep.folder(identity)
    table = pq.read_table(folder.steps)
    column = pa.array(["lrdn0001"] * table.num_rows)
    pq.write_table(table.append_column("host", column), folder.steps)
    assert export(sweep, tmp_path / "folder", "--public").exit_code == 0
    packed = (tmp_path / "folder" / "runs" / identity / "steps.parquet").read_bytes()
    assert {*pq.read_table(BytesIO(packed))["host"].to_pylist()} == {"host-1"}
    assert leaks(tmp_path / "folder") == []
