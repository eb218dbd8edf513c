"""Slurm: runs are packed into jobs, jobs are submitted and followed, and inside a job its runs are run."""
