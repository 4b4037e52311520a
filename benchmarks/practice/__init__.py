"""Fixed budgets: the final loss of untuned LearnedLR beside that of tuned optimizers.

Six ordinary networks, with the initial weights and batches of their papers and tutorials, train for
a fixed number of steps. Peers get that number where they can use it: AdamW and Muon have a grid of
rates and a cosine schedule. LearnedLR has its defaults in a plain loop. Each run is a line of the
result file, so measuring can be interrupted. Times are processor seconds, without tests.
"""

from benchmarks.practice.jobs import RESULT, Settings, jobs, key
from benchmarks.practice.run import measure
from benchmarks.practice.tables import table

NAME, PAGE = "practice", "docs/results.md"

__all__ = ["NAME", "PAGE", "RESULT", "Settings", "jobs", "key", "measure", "table"]
