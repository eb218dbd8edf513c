"""Slurm: its commands, its states, and the scripts of its jobs."""
