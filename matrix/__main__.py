"""`python -m matrix` is `xffl-bench`."""

from matrix.cli import main

main()
