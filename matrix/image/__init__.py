"""The container image that ranks can run in: built, looked into, tried out and entered."""
