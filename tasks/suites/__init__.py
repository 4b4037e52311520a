"""Named sets of evaluation pairs (architecture, data set) with fixed targets.

`tasks.suites.targets` defines the targets. `demo`, `smoke` and `development` use training families,
with mostly larger networks and other forms of the data. `validation` and `long` use families and
data that are never trained on, and `long` has larger pairs. `gpu` has the challenge's own sizes,
and `full_size` its networks on little data.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.data import NEEDS_FILES, digest_of_text
from tasks.data.formats import DataError
from tasks.options import choose
from tasks.suites import targets
from tasks.suites.demo import DEMO, SMOKE
from tasks.suites.development import DEVELOPMENT
from tasks.suites.full_size import FULL_SIZE
from tasks.suites.gpu import GPU
from tasks.suites.long import LONG
from tasks.suites.pair import Pair
from tasks.suites.validation import VALIDATION
from tasks.variant import Variant

SUITES: dict[str, dict[str, Pair]] = {
    "demo": DEMO,
    "smoke": SMOKE,
    "development": DEVELOPMENT,
    "validation": VALIDATION,
    "long": LONG,
    "gpu": GPU,
    "full_size": FULL_SIZE,
}


def suite(name: str, root: Path | None = None) -> dict[str, Variant]:
    """Return the pairs of a suite with their targets, by name.

    Pairs without data files or a measured target are left out. A notice on stderr says what to do.
    Raises VariantError for an unknown suite.
    """
    choose("suite", name, SUITES)
    records, pairs = targets.read(), {}
    for pair_name, pair in SUITES[name].items():
        record = records.get(pair_name)
        if missing := _missing(pair.variant.data, root):
            _notice(f"{name} goes without {pair_name}: {missing}")
        elif not targets.is_of(record, pair):
            _notice(f"{name} goes without {pair_name}: run `python -m tasks measure {name}` first")
        else:
            pairs[pair_name] = replace(pair.variant, target=record["target"])
    return pairs


def has_other_text(name: str, variant: Variant, root: Path | None = None) -> bool:
    """Return whether the pair's text on this machine differs from that of its target."""
    known = targets.read().get(name, {}).get("text")
    return known is not None and known != digest_of_text(variant.data, variant.data_options, root)


def measure_suite(
    name: str,
    path: Path = targets.SHIPPED,
    root: Path | None = None,
    device: str = "cpu",
    report: Callable[[str, Mapping[str, Any]], None] = lambda pair, record: None,
) -> None:
    """Measure the pairs of a suite that have no target in the file `path`, one by one.

    The file is written after each pair, so that an interrupted run resumes. `report` gets each
    pair's name and record. Pairs whose data files are absent are left out, with a notice.
    """
    choose("suite", name, SUITES)
    for pair_name, pair in SUITES[name].items():
        record = (records := targets.read(path)).get(pair_name)
        if not targets.is_of(record, pair):
            if missing := _missing(pair.variant.data, root):
                _notice(f"{pair_name} is not measured: {missing}")
                continue
            targets.write(records, path)  # fail now rather than after the measurement
            record = targets.measure(pair, root, device)
            # Read again: another run may have added targets meanwhile.
            targets.write({**targets.read(path), pair_name: record}, path)
        report(pair_name, record)


def _missing(data: str, root: Path | None) -> str:
    """Return why a data set can't be read, or an empty string."""
    try:
        NEEDS_FILES.get(data, lambda root: None)(root)
    except DataError as error:
        return str(error)
    return ""


def _notice(text: str) -> None:
    print(f"notice: {text}", file=sys.stderr)
