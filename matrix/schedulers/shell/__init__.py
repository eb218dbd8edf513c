"""Batch jobs as background processes of this machine."""
