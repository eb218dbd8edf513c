"""Slurm: commands, states and options of job scripts."""
