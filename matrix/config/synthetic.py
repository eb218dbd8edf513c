"""What `xffl-bench data synthetic` makes without options."""

from __future__ import annotations

VOCAB_SIZE = 256
SEQUENCE_LENGTH = 64
TRAIN_SAMPLES = 8192
VAL_SAMPLES = 256
