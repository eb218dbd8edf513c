"""Batch jobs as background processes on this machine (`scheduler: shell`)."""
