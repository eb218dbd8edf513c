"""Starting ranks: one agent per node, which starts the ranks of that node.

    python -m bench.start agent RUN.json FOLDER --node N --master-addr A --master-port P

is torchrun with a static rendezvous, so that ranks are numbered in host order. If the same command is started on every
node, `--among HOST,HOST,...` replaces `--node`: each agent looks up its own name in the list. On a CPU, where importing
torch in every rank takes longer than a small run, `--fork` makes the agent import everything once and fork its ranks.

    python -m bench.start serve --parent PID

forks whole agents: it reads requests from standard input and writes replies, both one line of JSON each. In every case
the agent is torch's elastic agent without restarts, and a rank calls `bench.training.main`, or `bench.preflight.main`
with `--preflight`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import sys
import traceback
from pathlib import Path

from bench.contract.agent import NO_SEMAPHORES, PORT_TAKEN, AgentOrder
from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import AttemptFolder
from bench.host import semaphores
from bench.host.process import end_with, print_stack_on_request, send_output_to


def node_among(hosts: list[str], name: str | None = None) -> int:
    """Return the index of this node in `hosts`, by its scheduler's name for it if given, else by its host name.

    Raises:
        ValueError: it is not in `hosts`; the message is for a person.

    """
    here = name or socket.gethostname()
    if here not in hosts:
        raise ValueError(f"--among: this node, {here}, is not in {', '.join(hosts)}: list it under that name")
    return hosts.index(here)


def rank(run: Path, folder: Path, parent: int, store_port: int | None = None, preflight: bool = False) -> None:
    """Run one rank of an agent of this module (pid `parent`)."""
    end_with(parent)
    if store_port is not None:
        os.environ |= {"MASTER_PORT": str(store_port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
    asked, attempt = read_document(run, Run), AttemptFolder(folder)
    if preflight:
        _look(asked, attempt)
    else:
        _train(asked, attempt)


def rank_of_another_launcher(run: Run, folder: Path) -> None:
    """Run one rank that `xffl exec` started instead of an agent of this module. It dies with its parent process."""
    end_with(os.getppid())
    print_stack_on_request()
    attempt = AttemptFolder(folder)
    attempt.create()
    _train(run, attempt)


def _train(run: Run, attempt: AttemptFolder) -> None:
    send_output_to(attempt.rank_log(int(os.environ["RANK"])))
    from bench.training import main  # noqa: PLC0415 - redirect the output before importing torch

    main(run, attempt)


def _look(run: Run, attempt: AttemptFolder) -> None:
    attempt.create()
    send_output_to(attempt.rank_log(int(os.environ["RANK"])))
    from bench.preflight import main  # noqa: PLC0415 - as above

    main(run, attempt)


def _forked_rank(run: Path, folder: Path, parent: int, store_port: int | None, preflight: bool) -> None:
    """Run one forked rank. torch would write an exception that reaches it to a file in TMPDIR."""
    try:
        rank(run, folder, parent, store_port, preflight)
    except Exception:  # noqa: BLE001 - as the interpreter does at the top level
        traceback.print_exc()
        sys.exit(1)


def agent(order: AgentOrder, *, fork: bool) -> int:
    """Run torch's elastic agent for one node until its ranks have ended; return an exit status.

    With `fork` the ranks are forked from this process, which has imported everything they need.
    """
    from torch.distributed import DistNetworkError  # noqa: PLC0415
    from torch.distributed.elastic.multiprocessing.api import SignalException  # noqa: PLC0415
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    from bench.host.elastic import NoFolder  # noqa: PLC0415 - it imports torch
    from bench.host.ports import is_port_taken  # noqa: PLC0415 - as above

    if fault := semaphores.fault():
        print(fault, file=sys.stderr)
        return NO_SEMAPHORES
    run = read_document(order.run, Run)
    config = LaunchConfig(
        min_nodes=run.nodes,
        max_nodes=run.nodes,
        nproc_per_node=run.ranks_per_node,
        run_id=run.id,
        rdzv_backend="static",
        rdzv_endpoint=f"{order.master_addr}:{order.master_port}",
        rdzv_configs={"rank": order.node, "timeout": int(run.limits.hang_seconds)},
        max_restarts=0,
        logs_specs=NoFolder(),
        # Seconds between polls of the ranks; short for forked ranks, whose runs are small.
        monitor_interval=0.02 if fork else 0.1,
        start_method="fork" if fork else "spawn",
    )
    here = os.getpid()
    options = ["-u", "-P"]
    command = ["-m", "bench.start", "rank", str(order.run), str(order.folder), "--parent", str(here)]
    try:
        if fork:
            elastic_launch(config, _forked_rank)(order.run, order.folder, here, order.store_port, order.preflight)
        else:
            elastic_launch(config, sys.executable)(*options, *command, *(["--preflight"] if order.preflight else []))
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return 1
    except SignalException as error:
        print(error, file=sys.stderr)
        return 128 + error.sigval  # as a shell reports it
    except DistNetworkError as error:
        if not is_port_taken(error):
            raise
        print(error, file=sys.stderr)
        return PORT_TAKEN
    return 0


def _kept_agent(order: AgentOrder, *, fork: bool) -> int:
    """Run an agent and also write its exit status to a file, for a runner on another host."""
    attempt = AttemptFolder(order.folder)
    attempt.create()
    status = 1
    try:
        if fork:
            _import_for_forks()
        status = agent(order, fork=fork)
    finally:
        write_whole(attempt.node_status(order.node), f"{status}\n", durable=False)
    return status


def _import_for_forks() -> None:
    gc.disable()  # imports keep nearly all that they allocate: looking for garbage among it takes a sixth of their time
    import torch.distributed.launcher.api  # noqa: PLC0415, F401

    import bench.training  # noqa: PLC0415, F401

    gc.enable()
    gc.collect()
    gc.freeze()  # collections in forks would otherwise touch, and so copy, the pages of the imports


def _forked_agent(order: AgentOrder, parent: int) -> None:
    """Run an agent in the forked child; never returns."""
    status = 1
    try:
        os.setsid()
        end_with(parent)
        send_output_to(AttemptFolder(order.folder).node_log(order.node))
        status = agent(order, fork=True)
    except BaseException:  # noqa: BLE001 - a forked child must not fall back into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve(parent: int) -> None:
    """Fork agents on request until standard input ends.

    Each line of input is a list of agent orders. Replies: {"ready": pid} once, {"started": [pids]} for each list, and
    {"ended": node, "status": s} for each agent, where s is negative for a signal, as in subprocess.
    """
    end_with(parent)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    _import_for_forks()
    print(json.dumps({"ready": os.getpid()}), file=answers)
    here = os.getpid()
    for line in sys.stdin:
        orders = [AgentOrder.model_validate(order) for order in json.loads(line)]
        nodes: dict[int, int] = {}
        for order in orders:
            pid = os.fork()
            if pid == 0:
                answers.close()
                _forked_agent(order, here)
            nodes[pid] = order.node
        print(json.dumps({"started": list(nodes)}), file=answers)
        while nodes:
            pid, status = os.wait()
            if pid in nodes:
                print(json.dumps({"ended": nodes.pop(pid), "status": os.waitstatus_to_exitcode(status)}), file=answers)


def main() -> int:
    """Run the command line of this module; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="fork agents as requested on standard input")
    server.add_argument("--parent", type=int, required=True, help="pid of the parent; exit when it dies")
    for name in ("agent", "rank"):
        command = commands.add_parser(name)
        command.add_argument("run", type=Path)
        command.add_argument("folder", type=Path)
        command.add_argument("--parent", type=int, required=name == "rank", help="pid of the parent; exit when it dies")
        command.add_argument("--preflight", action="store_true", help="measure devices and links instead of training")
    command = commands.choices["agent"]
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--node", type=int, help="number of this node, from 0")
    which.add_argument("--among", metavar="HOST,HOST,...", help="all nodes in order; this node looks up its name")
    command.add_argument(
        "--node-name-in", metavar="VARIABLE", help="with --among: variable with the scheduler's name of this node"
    )
    command.add_argument("--master-addr", required=True)
    command.add_argument("--master-port", type=int, required=True)
    command.add_argument("--with-parent", action="store_true", help="exit when the parent process dies")
    command.add_argument("--fork", action="store_true", help="import torch once and fork the ranks; for CPUs")
    command.add_argument("--store-port", type=int, help="port of the rendezvous store of forked ranks")
    arguments = parser.parse_args()
    print_stack_on_request()
    if arguments.command == "serve":
        serve(arguments.parent)
        return 0
    if arguments.command == "rank":
        rank(arguments.run, arguments.folder, arguments.parent, preflight=arguments.preflight)
        return 0
    if arguments.fork != (arguments.store_port is not None):
        command.error("--fork and --store-port need each other: forked ranks use a rendezvous store of rank 0")
    if arguments.with_parent:
        arguments.parent = os.getppid()
    if arguments.parent is not None:
        end_with(arguments.parent)
    if arguments.among is not None:
        try:
            arguments.node = node_among(arguments.among.split(","), os.environ.get(arguments.node_name_in or ""))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    return _kept_agent(AgentOrder.model_validate(vars(arguments)), fork=arguments.fork)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NewerVersionError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
