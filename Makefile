# `make` alone lists the targets. Settings can be overridden: make demo PROCESSES=8 STEPS=500

PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/demo
PROCESSES ?= 2
DEVICE ?= cpu
STEPS ?= 60
TRAIN ?= train.py
PEERS ?= soap_averaged adam_3e3_averaged muon_averaged learned_lr
REPEATS ?= 3
PYTHON37 ?= python3.7
LEGACY ?= runs/legacy
LEGACY_TORCH ?= 1.1.0 1.4.0 1.13.1
WHEEL ?= runs/wheel
TORCH ?= torch

METALEARN_ARGUMENTS ?= --out $(RUN) --steps $(STEPS) --linear 45 --evaluate-every 0
# What the shipped policy was made with, and the commit that it was made at.
SHIPPED_FROM := d5fabdbd1181e59f466d0f636523b076476bd909
POLICY_ARGUMENTS ?= --steps 200 --families mlp cnn rnn_lm transformer_lm transformer_lm residual_mlp \
	autoencoder elman_lm --groups 1 --variants 4 --pairs 8 --shortest 200 --longest 2000 \
	--truncation 50 --linear 100 --rate 0.006 --renew-every 6 --evaluate-every 0 --checkpoint-every 20
EVALUATE_ARGUMENTS ?= $(RUN)/learned.py $(RUN)/unlearned.py --out $(RUN)/score

BIN := $(VENV)/bin
READY := $(VENV)/.installed

# One thread a process: PyTorch's threads fight over the cores once several processes run.
export OMP_NUM_THREADS := 1
# A worker that restarts must not meet the counters of its predecessor (torch 2.13 hangs on them).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE := 1

.PHONY: help setup demo policy shipped validation headline long full lint test slow legacy wheel examples elastic gpu clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z%-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY)  ## make the environment in .venv, once

demo: $(READY)  ## meta-train a small policy, export it, score it
	$(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m metalearn $(METALEARN_ARGUMENTS)
	$(BIN)/python -m checkpoints_to_source $(RUN)/policy.safetensors --out $(RUN)/learned.py
	$(BIN)/python -m checkpoints_to_source $(RUN)/initial.safetensors --out $(RUN)/unlearned.py
	$(BIN)/python -m evaluate $(EVALUATE_ARGUMENTS)

policy: $(READY)  ## meta-train a policy from scratch and calibrate it, an hour on 2 cores: into runs/policy
	$(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m metalearn --out runs/policy \
		--device $(DEVICE) $(POLICY_ARGUMENTS)
	$(BIN)/python -m metalearn.calibrate runs/policy/policy.safetensors --out runs/policy/calibrated \
		--processes $(PROCESSES)

shipped:  ## the same from the sources that the shipped policy was made from: into runs/sources/runs/policy
	test -d runs/sources || git worktree add --detach runs/sources $(SHIPPED_FROM)
	$(MAKE) -C runs/sources policy VENV=.venv

validation: runs/policy_free.py  ## score the shipped policy on held-out pairs: into runs/validation
	$(BIN)/python -m evaluate train.py runs/policy_free.py --peers $(PEERS) --suite validation \
		--repeats $(REPEATS) --out runs/validation

headline: $(READY)  ## the tables of docs/results/validation.jsonl and the README's picture; into README and docs/
	$(BIN)/python -m benchmarks table headline
	$(BIN)/python -m evaluate table docs/results/validation.jsonl --document docs/results.md
	$(BIN)/python -m evaluate table docs/results/validation.jsonl --against train --document docs/results.md

long: runs/policy_free.py  ## the same on larger held-out pairs, of minutes each: into runs/long
	$(BIN)/python -m evaluate train.py runs/policy_free.py --suite long --repeats $(REPEATS) --out runs/long

full: runs/policy_free.py  ## the challenge's networks at full size, an hour a repeat: into runs/full
	$(BIN)/python -m evaluate train.py runs/policy_free.py --suite full_size --repeats $(REPEATS) --out runs/full

lint: $(READY)  ## ruff, and the check of the documentation
	$(BIN)/ruff check .
	$(BIN)/pytest --quiet tests/test_docs.py

test: lint  ## lint, then run the tests on two processes
	$(BIN)/pytest -n 2

slow: $(READY)  ## the tests that take minutes
	$(BIN)/pytest -n 2 -m slow

elastic: $(READY)  ## kill a worker in each of twelve meta-training runs; they must end as if undisturbed
	ELASTIC_TRIALS=10 $(BIN)/pytest -m slow tests/metalearn/test_elastic.py

bench-%: $(READY)  ## measure one of `python -m benchmarks list`, and show it in its page
	$(BIN)/python -m benchmarks run $* --processes $(PROCESSES)
	$(BIN)/python -m benchmarks table $*

bench-throughput: $(VENV)/.jax

# With another Python or torch: make wheel PYTHON=python3.9 TORCH="torch==2.1.2 numpy<2"
wheel:  ## build wheel and sdist, and try the wheel in an empty environment beside Hugging Face's evaluate
	rm -rf $(WHEEL) build
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check build
	$(WHEEL)/venv/bin/python -m build --outdir $(WHEEL) . > $(WHEEL)/build.log
	$(WHEEL)/venv/bin/pip install --quiet --disable-pip-version-check $(WHEEL)/*.whl evaluate mypy \
		$(foreach package,$(TORCH),'$(package)')
	$(WHEEL)/venv/bin/python -I tests/packaging/try_wheel.py README.md

examples: $(READY)  ## run the scripts of examples/, a few minutes
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[examples]'
	$(BIN)/python examples/image_classifier.py
	$(BIN)/python examples/small_gpt.py
	$(BIN)/python examples/with_lightning.py
	$(BIN)/python examples/with_trainer.py
	$(BIN)/torchrun --standalone --nproc-per-node 2 examples/with_ddp.py

legacy: $(LEGACY)/today.json $(LEGACY_TORCH:%=$(LEGACY)/torch-%.json)  ## TRAIN on Python 3.7 with torch 1.1, 1.4, 1.13 against today's
	$(BIN)/python tests/legacy/compare.py $^

gpu: runs/policy_free.py  ## measure all that needs a CUDA GPU: targets and scores at the challenge's sizes, overhead, throughput
	$(BIN)/python -m tasks measure gpu --device cuda
	$(BIN)/python -m evaluate train.py runs/policy_free.py --suite gpu --device cuda --out runs/gpu
	$(BIN)/python -m benchmarks run step_overhead --device cuda --out runs/step_overhead-cuda.json
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[benchmarks]' \
		"jax[cuda$$($(BIN)/python -c 'import torch; print(torch.version.cuda.split(".")[0])')]"
	$(BIN)/python -m benchmarks run throughput --device cuda --out runs/throughput-cuda.json

clean:  ## remove the environment, caches and the demo's results
	rm -rf $(VENV) $(RUN) .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runs/policy_free.py: $(READY) $(wildcard policy/*.py policy/*/*.py checkpoints_to_source/*.py)
	@mkdir -p $(@D)
	$(BIN)/python -m checkpoints_to_source --policy-free --out $@

# The stamp is written last, so an interrupted set-up is done again.
$(READY): setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[workbench,test,peers,submission]'
	@touch $@

$(VENV)/.jax: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[benchmarks]'
	@touch $@

$(LEGACY)/today.json: tests/legacy/curve.py tests/legacy/tasks.py $(TRAIN) $(READY)
	@mkdir -p $(@D)
	$(BIN)/python $< $(TRAIN) $@

$(LEGACY)/torch-%.json: tests/legacy/curve.py tests/legacy/tasks.py $(TRAIN) $(LEGACY)/torch-%/.installed
	$(@D)/torch-$*/bin/python $< $(TRAIN) $@

.PRECIOUS: $(LEGACY)/torch-%/.installed
$(LEGACY)/torch-%/.installed:
	@command -v $(PYTHON37) > /dev/null || { echo "error: $(PYTHON37) is not there; install" \
		"Python 3.7, as with pyenv, and name it: make legacy PYTHON37=..." >&2; exit 1; }
	$(PYTHON37) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check torch==$* 'numpy<1.22'
	@touch $@
