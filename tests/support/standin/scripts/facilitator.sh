#!/bin/bash
# A node's part of the stand-in for `xffl exec`: sources the site's script, prepares the environment by the functions
# of env.sh, which that script may have replaced, starts the node's ranks and waits for them, the first first.
set -euo pipefail
source "$(dirname "$0")/env.sh"
if [ "$XFFL_FACILITY" != None ]; then
    source "$XFFL_FACILITY"
fi
CONTAINER_PLT=""
Derive_env
Limit_PyTorch_threads
Reset_visible_devices
LLaMA_default_env
Gpu_detection
source "$XFFL_VENV/bin/activate"
ranks=()
for ((local_rank = 0; local_rank < LOCAL_WORLD_SIZE; local_rank++)); do
    rank=$((XFFL_START_RANK + local_rank))
    first=$((local_rank * OMP_NUM_THREADS))
    cores=$first-$((first + OMP_NUM_THREADS - 1))
    eval "RANK=$rank LOCAL_RANK=$local_rank ROLE_RANK=$rank GROUP_RANK=$XFFL_NODEID" \
        "taskset --cpu-list $cores python $*" &
    ranks+=("$!")
done
for pid in "${ranks[@]}"; do
    wait "$pid"
done
