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

.PHONY: help setup demo policy shipped validation headline pooled long full lint test slow legacy elastic throughput testing overhead scaling behaviour races kinds batches widths trained distribution isolation gpu clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

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
	$(BIN)/python -m benchmarks.headline docs/results/validation.jsonl README.md docs/results/headline.png
	$(BIN)/python -m evaluate table docs/results/validation.jsonl --document docs/results.md

# Commits at which docs/results/validation.jsonl holds earlier runs of the same weights.
POOLED := bd6ad0f 5075831 1e215ef d1ba2a9 152d354 5c3774c 1919d0c 91ecb52 2b15138 35acdae c57c2de 8eaabfa

pooled: $(READY)  ## all runs of the shipped weights on held-out pairs, from the repository's history; into docs/
	mkdir -p runs/pooled
	for commit in $(POOLED); do \
		git show $$commit:docs/results/validation.jsonl > runs/pooled/$$commit.jsonl || exit 1; done
	$(BIN)/python -m benchmarks.pooled_runs docs/results/validation.jsonl \
		$(POOLED:%=runs/pooled/%.jsonl) --out docs/results/pooled.json
	$(BIN)/python -m benchmarks.pooled_table docs/results/pooled.json docs/results.md

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

throughput: $(READY)  ## inner steps per second of meta-training on a CPU core, beside JAX; into docs/
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[benchmarks]'
	$(BIN)/pytest tests/benchmarks/test_jax_step.py
	$(BIN)/python -m benchmarks.meta_throughput --out docs/results/throughput.json
	$(BIN)/python -m benchmarks.throughput_table docs/results/throughput.json docs/metalearn.md

testing: $(READY)  ## time that train.py spends in tests, and the delay of detection; into docs/
	$(BIN)/python -m benchmarks.test_schedule checkpoints/policy.safetensors --out docs/results/test_schedule.json
	$(BIN)/python -m benchmarks.detection train.py --out docs/results/detection.json
	$(BIN)/python -m benchmarks.testing_tables docs/results docs/testing.md

overhead: $(READY)  ## time of train.py's update beside other optimizers'; into docs/
	$(BIN)/python -m benchmarks.step_overhead checkpoints/policy.safetensors --out docs/results/step_overhead.json
	$(BIN)/python -m benchmarks.overhead_table docs/results/step_overhead.json docs/learned_lr.md

scaling: $(READY)  ## speed-up against the length of a run and the size of the network; into docs/
	$(BIN)/python -m benchmarks.scaling checkpoints/policy.safetensors --out docs/results/scaling.json
	$(BIN)/python -m benchmarks.scaling_figure docs/results/scaling.json docs/results/scaling.png

behaviour: $(READY)  ## what the policy does, and what its parts are worth; into docs/
	$(BIN)/python -m benchmarks.behaviour checkpoints/policy.safetensors --out docs/results/behaviour.png
	$(BIN)/python -m benchmarks.ablation checkpoints/policy.safetensors --episodes 8 --longest 400 \
		--out docs/results/ablation.json
	$(BIN)/python -m benchmarks.ablation_table docs/results/ablation.json docs/behaviour.md

races: $(READY)  ## the policy against constant rates on fresh networks, 20 minutes; into docs/
	$(BIN)/python -m benchmarks.fresh_races checkpoints/policy.safetensors --processes $(PROCESSES) \
		--out docs/results/fresh_races.json
	$(BIN)/python -m benchmarks.races_table docs/results/fresh_races.json docs/behaviour.md

kinds: $(READY)  ## the policy on networks of kinds that no family has, a quarter of an hour; into docs/
	$(BIN)/python -m benchmarks.other_kinds checkpoints/policy.safetensors --processes $(PROCESSES) \
		--out docs/results/kinds.json
	$(BIN)/python -m benchmarks.kinds_table docs/results/kinds.json docs/kinds.md

batches: $(READY)  ## what choosing the batch size is worth, 10 minutes; into docs/
	$(BIN)/python -m benchmarks.batch_sizes checkpoints/policy.safetensors --processes $(PROCESSES) \
		--out docs/results/batch_sizes.json
	$(BIN)/python -m benchmarks.batch_sizes_table docs/results/batch_sizes.json docs/driver.md

widths: $(READY)  ## time beside Adam's on narrow and wide perceptrons, 5 minutes; into docs/
	$(BIN)/python -m benchmarks.widths checkpoints/policy.safetensors --processes $(PROCESSES) \
		--out docs/results/widths.json
	$(BIN)/python -m benchmarks.widths_table docs/results/widths.json docs/driver.md

trained: $(READY)  ## a new LearnedLR on weights that are trained already, 20 minutes; into docs/
	$(BIN)/python -m benchmarks.trained_weights --processes $(PROCESSES) \
		--out docs/results/trained_weights.json
	$(BIN)/python -m benchmarks.trained_weights_table docs/results/trained_weights.json docs/learned_lr.md
	$(BIN)/python -m benchmarks.fine_tuning --processes $(PROCESSES) --out docs/results/fine_tuning.json
	$(BIN)/python -m benchmarks.fine_tuning_table docs/results/fine_tuning.json docs/learned_lr.md

distribution: $(READY)  ## size, length and gradient noise of training tasks and suites; into docs/
	$(BIN)/python -m benchmarks.distribution --out docs/results/distribution.json
	$(BIN)/python -m benchmarks.distribution_figure docs/results/distribution.json docs/results/distribution.png

isolation: $(READY)  ## what running a submission in a process of its own costs a step
	@mkdir -p runs
	$(BIN)/python -m benchmarks.isolation_cost --out runs/isolation_cost.json

legacy: $(LEGACY)/today.json $(LEGACY_TORCH:%=$(LEGACY)/torch-%.json)  ## TRAIN on Python 3.7 with torch 1.1, 1.4, 1.13 against today's
	$(BIN)/python tests/legacy/compare.py $^

gpu: runs/policy_free.py  ## measure all that needs a CUDA GPU: targets and scores at the challenge's sizes, overhead, throughput
	$(BIN)/python -m tasks measure gpu --device cuda
	$(BIN)/python -m evaluate train.py runs/policy_free.py --suite gpu --device cuda --out runs/gpu
	$(BIN)/python -m benchmarks.step_overhead checkpoints/policy.safetensors --device cuda \
		--out runs/step_overhead-cuda.json
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[benchmarks]' \
		"jax[cuda$$($(BIN)/python -c 'import torch; print(torch.version.cuda.split(".")[0])')]"
	$(BIN)/python -m benchmarks.meta_throughput --device cuda --out runs/throughput-cuda.json

clean:  ## remove the environment, caches and the demo's results
	rm -rf $(VENV) $(RUN) .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runs/policy_free.py: $(READY) $(wildcard policy/*.py policy/*/*.py checkpoints_to_source/*.py)
	@mkdir -p $(@D)
	$(BIN)/python -m checkpoints_to_source --policy-free --out $@

# The stamp is written last, so an interrupted set-up is done again.
$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,peers,submission]'
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
