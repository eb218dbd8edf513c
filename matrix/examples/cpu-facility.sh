# For `xffl exec -f`, on a machine without GPUs: what xFFL would ask nvidia-smi for, and the tiny configuration.
#
#     xffl exec bench/training.py bench/config.py -f matrix/examples/cpu-facility.sh -ws 2 -n localhost
#
# xFFL sources this before it sets up its ranks; its own functions of these names are replaced.
export XFFL_BENCH_CONFIG=tiny
Reset_visible_devices() { VISIBLE_DEVICES=""; }
# More ranks than cores would get none: a thread for each, and no cores of their own.
Limit_PyTorch_threads() { export OMP_NUM_THREADS=1; }
taskset() { shift 2 && "$@"; }
# TORCH_DISTRIBUTED_DEBUG=DETAIL is among what xFFL would set, and makes every collective slower.
LLaMA_default_env() { :; }
