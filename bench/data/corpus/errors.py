"""Exceptions of preparing a data set."""


class CorpusError(Exception):
    """The data set cannot be made from the given input. The message is one sentence with the remedy."""


class WorkerLostError(Exception):
    """A worker process was killed, for example by the kernel when memory ran out."""
