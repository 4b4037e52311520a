# `make` alone lists the targets. Settings can be overridden: make demo PROCESSES=8 STEPS=500

PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/demo
PROCESSES ?= 2
DEVICE ?= cpu
STEPS ?= 60
TRAIN ?= train.py
REPEATS ?= 3
PYTHON37 ?= python3.7
LEGACY_TORCH ?= 1.1.0 1.4.0 1.13.1
TORCH ?= torch
BIN := $(VENV)/bin
PIP := bin/python -m pip install --quiet --disable-pip-version-check
READY := $(VENV)/.installed

# One thread a process: PyTorch's threads fight over the cores once several processes run.
export OMP_NUM_THREADS := 1
# A worker that restarts must not meet the counters of its predecessor (torch 2.13 hangs on them).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE := 1

.PHONY: help setup demo policy validation long full_size lint test slow wheel examples legacy clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z_% -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 26

setup: $(READY)  ## make the environment in .venv, once

demo: $(READY)  ## meta-train a small policy, export it, score it
	$(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m metalearn --out $(RUN) \
		--steps $(STEPS) --linear 45 --evaluate-every 0
	$(BIN)/python -m checkpoints_to_source $(RUN)/policy.safetensors --out $(RUN)/learned.py
	$(BIN)/python -m checkpoints_to_source $(RUN)/initial.safetensors --out $(RUN)/unlearned.py
	$(BIN)/python -m evaluate $(RUN)/learned.py $(RUN)/unlearned.py --out $(RUN)/score

policy: $(READY)  ## teach a policy in hindsight, an hour on 2 cores: into runs/policy
	$(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m metalearn.hindsight --out runs/policy \
		--device $(DEVICE) --begin checkpoints/before.safetensors

validation: PEERS ?= soap_averaged adam_3e3_averaged muon_averaged learned_lr
validation long full_size: $(READY)  ## score the shipped policy on a suite of held-out pairs: into runs/
	$(BIN)/python -m checkpoints_to_source --policy-free --out runs/policy_free.py
	$(BIN)/python -m evaluate train.py runs/policy_free.py $(if $(PEERS),--peers $(PEERS)) --suite $@ \
		--repeats $(REPEATS) --out runs/$@

lint: $(READY)  ## ruff, mypy, and the check of the documentation
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --quiet tests/test_docs.py

test: lint  ## lint, then run the tests on two processes
	$(BIN)/pytest -n 2

slow: $(READY)  ## the tests that take minutes
	$(BIN)/pytest -n 2 -m slow

bench-%: $(READY)  ## measure one of `python -m benchmarks list`, and show it in its page
	$(BIN)/python -m benchmarks run $* --processes $(PROCESSES)
	$(BIN)/python -m benchmarks table $*

# With another Python or torch: make wheel PYTHON=python3.9 TORCH="torch==2.1.2 numpy<2"
wheel:  ## build wheel and sdist, and try the wheel in an empty environment beside Hugging Face's evaluate
	rm -rf runs/wheel build
	$(PYTHON) -m venv runs/wheel/venv
	runs/wheel/venv/$(PIP) build
	runs/wheel/venv/bin/python -m build --outdir runs/wheel . > runs/wheel/build.log
	runs/wheel/venv/$(PIP) runs/wheel/*.whl evaluate mypy $(foreach package,$(TORCH),'$(package)')
	runs/wheel/venv/bin/python -I tests/packaging/try_wheel.py README.md

examples: $(READY)  ## run the scripts of examples/, a few minutes
	$(VENV)/$(PIP) --editable '.[examples]'
	for name in image_classifier small_gpt with_lightning with_trainer; do \
		$(BIN)/python examples/$$name.py || exit; done
	$(BIN)/torchrun --standalone --nproc-per-node 2 examples/with_ddp.py

legacy: $(READY)  ## TRAIN on Python 3.7 with torch 1.1, 1.4, 1.13 against today's
	mkdir -p runs/legacy
	$(BIN)/python tests/legacy/curve.py $(TRAIN) runs/legacy/today.json
	for torch in $(LEGACY_TORCH); do at=runs/legacy/torch-$$torch; $(PYTHON37) -m venv $$at && \
		$$at/$(PIP) torch==$$torch 'numpy<1.22' && \
		$$at/bin/python tests/legacy/curve.py $(TRAIN) $$at.json || exit; done
	$(BIN)/python tests/legacy/compare.py runs/legacy/today.json $(LEGACY_TORCH:%=runs/legacy/torch-%.json)

clean:  ## remove the environment, caches and the demo's results
	rm -rf $(VENV) $(RUN) .pytest_cache .ruff_cache .mypy_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted set-up is done again.
$(READY): setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/$(PIP) --editable '.[workbench,test,peers,submission]'
	@touch $@
