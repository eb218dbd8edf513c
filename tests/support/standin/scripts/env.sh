# What the stand-in's facilitator calls, by the names that xFFL gives it. Without nvidia-smi it fails, as there.
Derive_env () {
    export ROLE_NAME=default MASTER_PORT=29500 LOCAL_WORLD_SIZE="$XFFL_LOCAL_WORLD_SIZE"
    export WORLD_SIZE="$XFFL_WORLD_SIZE" ROLE_WORLD_SIZE="$XFFL_WORLD_SIZE" GROUP_WORLD_SIZE="$XFFL_NUM_NODES"
}

Limit_PyTorch_threads () {
    export OMP_NUM_THREADS=$(($(nproc --all) / LOCAL_WORLD_SIZE))
}

Reset_visible_devices () {
    local devices
    devices=$(nvidia-smi --list-gpus | wc -l)
    export VISIBLE_DEVICES
    VISIBLE_DEVICES=$(seq -s , 0 $((devices - 1)))
}

LLaMA_default_env () {
    export TORCH_SHOW_CPP_STACKTRACES=1 TORCH_DISABLE_ADDR2LINE=1 TORCH_DISTRIBUTED_DEBUG=DETAIL
    export TORCH_NCCL_ASYNC_ERROR_HANDLING=1 NCCL_CROSS_NIC=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
}

Gpu_detection () {
    export GPU_FLAG=""
    if command -v nvidia-smi > /dev/null; then
        export CUDA_VISIBLE_DEVICES="$VISIBLE_DEVICES" GPU_FLAG=--nv
    fi
}
