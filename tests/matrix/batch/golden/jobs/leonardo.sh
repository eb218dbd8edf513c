#!/bin/bash
#SBATCH --job-name=JOBNAME
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gres=gpu:4
#SBATCH --time=24
#SBATCH --signal=B:USR1@120
#SBATCH --output=/FOLDER/results/nightly/jobs/0001/%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --exclusive
#SBATCH --account=IscrB_MYPROJECT
#SBATCH --partition=boost_usr_prod
#SBATCH --qos=normal
#SBATCH --hint=nomultithread
#SBATCH --mail-type=FAIL

# 2 runs of sweep nightly on 2 nodes; `sbatch` this file to submit them by hand.
# job.json in this folder lists the runs; each result is written to the sweep's folder when its run ends.
set -eo pipefail
trap '' USR1  # the harness handles the warning before the time limit; bash would die of it
module load python/3.11
set -u
export XFFL_BENCH_JOB="${SLURM_JOB_ID:-}" XFFL_BENCH_RESTARTS="${SLURM_RESTART_COUNT:-0}"
unset SLURM_EXPORT_ENV  # with NONE, ranks would get no variables
cd /FOLDER
exec /PYTHON -P -m matrix job /FOLDER/results/nightly/jobs/0001
