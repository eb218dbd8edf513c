"""What is wrong with a corpus, a tokenizer or a setting."""


class CorpusError(Exception):
    """The data set cannot be made from what was given. The message is one sentence with what would be right."""


class WorkerLostError(Exception):
    """A worker process ended without an answer, as when the kernel is out of memory."""
