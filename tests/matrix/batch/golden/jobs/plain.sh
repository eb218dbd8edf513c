#!/bin/bash
#SBATCH --job-name=JOBNAME
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --time=23
#SBATCH --signal=B:USR1@30
#SBATCH --output=/FOLDER/results/nightly/jobs/0001/%j.log
#SBATCH --open-mode=append
#SBATCH --requeue

# 2 runs of sweep nightly on 2 nodes; `sbatch` this file to submit them by hand.
# job.json in this folder lists the runs; each result is written to the sweep's folder when its run ends.
set -eo pipefail
trap '' USR1  # the harness handles the warning before the time limit; bash would die of it
source /shared/site.sh
set -u
export XFFL_BENCH_JOB="${SLURM_JOB_ID:-}" XFFL_BENCH_RESTARTS="${SLURM_RESTART_COUNT:-0}"
unset SLURM_EXPORT_ENV  # with NONE, ranks would get no variables
cd /FOLDER
exec /PYTHON -P -m matrix job /FOLDER/results/nightly/jobs/0001
