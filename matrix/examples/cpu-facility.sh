# For `xffl exec -f` on a machine without GPUs: replaces calls of nvidia-smi.
#
#     xffl exec bench/training.py bench/config.py -c tiny_config -f matrix/examples/cpu-facility.sh -ws 2 -n localhost
#
# xFFL sources this file before it sets up its ranks; the functions here replace its own.
Reset_visible_devices() { VISIBLE_DEVICES=""; }
# With more ranks than cores, xFFL would assign no cores to some: use one thread per rank and no pinning.
Limit_PyTorch_threads() { export OMP_NUM_THREADS=1; }
taskset() { shift 2 && "$@"; }
# xFFL would set TORCH_DISTRIBUTED_DEBUG=DETAIL, among others, which slows down every collective.
LLaMA_default_env() { :; }
