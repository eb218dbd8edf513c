"""`python -m matrix` is `xffl-bench`."""

from matrix.cli.app import main

main()
