"""Fixed budgets: the final loss of LearnedLR, untuned, beside that of optimizers that people tune.

Six ordinary networks with the initial weights and batches of their papers and tutorials train for a
fixed number of steps. Peers are told it where they can use it: AdamW and Muon have a grid of rates
and a cosine. LearnedLR has its default in a plain loop. Every run is a line of the result file, so
that measuring can be interrupted. Seconds are those of the processor, tests left out.
"""

from benchmarks.practice.jobs import RESULT, Settings, jobs, key
from benchmarks.practice.run import measure
from benchmarks.practice.tables import table

NAME, PAGE = "practice", "docs/results.md"

__all__ = ["NAME", "PAGE", "RESULT", "Settings", "jobs", "key", "measure", "table"]
