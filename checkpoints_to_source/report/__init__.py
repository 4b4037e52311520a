"""The submission's report: four two-column pages, set by typst from result files.

`facts` gathers every number (`measured` those of benchmarks), `figures` draws, the `.typ` files
contain the prose, and `setting` makes the PDF.
"""

from checkpoints_to_source.report.facts import ReportError, gather
from checkpoints_to_source.report.setting import set_report

__all__ = ["ReportError", "gather", "set_report"]
