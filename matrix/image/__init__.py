"""The container image that ranks can run in: build, inspect and enter it."""
