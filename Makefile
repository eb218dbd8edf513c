# Every target does its own set-up, in .venv of this folder.
PYTHON ?= python3
VENV := .venv
# Three parts that take about as long: two that wait for much of it, one that computes. The first has all tests of
# the pool of ranks, of which one is enough.
test-ranks := tests/bench tests/containers
test-ranks += $(addprefix tests/matrix/,launchers schedulers store)
test-sums := tests/reports $(addprefix tests/matrix/,batch check config nightly planning publishing)
test-sweeps := $(addprefix --ignore=,$(test-ranks) $(test-sums))
# What is built or limited once for all its tests runs in one process: the image, and Slurm's control groups.
cluster-test-image := tests/cluster/test_in_image.py tests/cluster/test_memory.py tests/containers
cluster-test-slurm := tests/cluster $(addprefix --ignore=,$(cluster-test-image))
BIN := $(VENV)/bin

.PHONY: help install demo demo-cluster demo-xffl test test-ranks test-sweeps test-sums test-style soak coverage cluster-test \
  cluster-test-slurm cluster-test-image bench docs package clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed ## xffl-bench into .venv

demo: $(VENV)/.installed ## sweep tiny models over all strategies on this machine, and report
	$(BIN)/xffl-bench data synthetic data/synthetic-tiny
	$(BIN)/xffl-bench run matrix/examples/demo.yaml
	$(BIN)/xffl-bench report results/demo

# A virtual Slurm cluster of four nodes whose links carry 100 Mbit/s; it ends with the command.
define on_cluster
folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT INT TERM && tests/cluster/vcluster "$$folder/cluster" 4 \
	  sh -c 'tests/cluster/vcluster shape 100mbit && exec $(1)'
endef

demo-cluster: $(VENV)/.installed $(VENV)/.installed-slurm ## a nightly sweep on a virtual Slurm cluster: as root on Debian
	$(BIN)/xffl-bench data synthetic data/synthetic-tiny
	$(call on_cluster,$(BIN)/xffl-bench run matrix/examples/nightly.yaml)
	$(BIN)/xffl-bench report results/nightly

demo-xffl: $(VENV)/.installed $(VENV)/.installed-slurm ## the same, with `xffl exec` starting the ranks
	@[ -x $(BIN)/xffl ] || { echo "demo-xffl needs xFFL in $(VENV): install it as docs/guides/xffl.md says" \
	  "under 'Installing it', with $(BIN)/pip" >&2; exit 2; }
	$(BIN)/xffl-bench data synthetic data/synthetic-tiny
	$(call on_cluster,$(BIN)/xffl-bench run matrix/examples/nightly.yaml --results results/xffl \
	  --system matrix/examples/virtual-cluster-xffl.yaml)
	$(BIN)/xffl-bench report results/xffl/nightly

test: $(VENV)/.installed-test ## everything that checks the project, but for what takes long
	$(MAKE) -j3 test-ranks test-sweeps test-sums test-style # where one waits the others work
	$(BIN)/pytest -m alone tests/bench # all are there, as tests/conftest.py ensures: the others need not be imported

test-ranks test-sweeps test-sums: test-%: $(VENV)/.installed-test
	$(BIN)/pytest -p no:cacheprovider -m "not soak and not cluster and not alone" $(test-$*)

test-style: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

soak: $(VENV)/.installed-test ## what takes long: clean ends 20 times over, every option, checkpoints, corpora, W&B
	$(BIN)/pytest -m soak -n 2 --dist worksteal # much of it waits

# Apart from `test`: what is measured takes longer, and tests compare times.
coverage: $(VENV)/.installed-test ## lines and branches that the tests reach, ranks and other processes included
	$(BIN)/pytest -p no:cacheprovider -m "not soak and not cluster and not alone" --cov --cov-report=
	$(BIN)/coverage report --skip-covered

cluster-test: $(VENV)/.installed-test $(VENV)/.installed-cluster ## what needs real parts of a cluster: as root on Debian
	$(MAKE) -j2 --output-sync=target cluster-test-slurm cluster-test-image # much of both waits

# Each worker has a cluster of its own. A third starves them all: Slurm then takes busy nodes for dead ones.
cluster-test-slurm: workers := -n 2 --dist worksteal
cluster-test-slurm cluster-test-image: cluster-test-%: $(VENV)/.installed-test $(VENV)/.installed-cluster
	PATH=$(abspath $(VENV))/apptainer/command:$$PATH XFFL_BENCH_NO_SKIPS=1 \
	  $(BIN)/pytest -p no:cacheprovider -m "cluster and not soak" $(workers) $(cluster-test-$*)

bench: $(VENV)/.installed-bench ## measure the harness itself; nothing passes or fails
	$(BIN)/pytest tests/benchmarks --benchmark-only --benchmark-disable-gc

docs: $(VENV)/.installed-docs ## the documentation as a site that needs no network, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "read it: $(BIN)/python -m http.server --directory build/site"

package: $(VENV)/.installed-test ## wheel and source distribution, in dist/
	$(BIN)/python -m build

clean: ## remove what the targets above made, but no results
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "xffl-bench needs Python 3.11 or newer; name one with: make PYTHON=python3.12 demo" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# pip compiles on one core; compileall fails on the files for other versions of Python that some packages hold.
define install
@echo "installing into $(VENV), with torch: minutes on a fast network"
$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '$(1)'
$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
endef

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(call install,.)
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-test
	$(call install,.[test,bench])
	touch $@

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(call install,.[docs])
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(call install,.[test])
	touch $(VENV)/.installed $@

$(VENV)/.installed-slurm: tests/cluster/install.sh | $(VENV)/bin/python
	@[ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ] || \
	  { echo "a virtual cluster needs packages: this needs root on Debian" >&2; exit 2; }
	tests/cluster/install.sh munge slurm-wlm openssh-client openssh-server iproute2 mount
	touch $@

$(VENV)/.installed-cluster: tests/containers/apptainer.sh $(VENV)/.installed-slurm
	tests/cluster/install.sh cron mmdebstrap patchelf squashfs-tools
	tests/containers/apptainer.sh $(VENV)/apptainer
	touch $@
