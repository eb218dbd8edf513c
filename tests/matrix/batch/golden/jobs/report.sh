#!/bin/bash
#SBATCH --job-name=xffl-bench.nightly.report
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --time=15
#SBATCH --dependency=afterany:11:12
#SBATCH --output=/FOLDER/results/nightly/report-%j.log
#SBATCH --account=IscrB_MYPROJECT
#SBATCH --partition=boost_usr_prod
#SBATCH --qos=normal

# Write tables and plots after the jobs above have ended.
set -eo pipefail
module load python/3.11
cd /FOLDER
exec /PYTHON -P -m matrix report /FOLDER/results/nightly
