"""A worker does not outlive the evaluation that started it."""

import os
import subprocess
import sys

import pytest

CODE = "from evaluate.confine import die_with_parent; die_with_parent({}); print('lives')"


@pytest.mark.parametrize("is_other, printed", [(0, "lives\n"), (1, "")])
def test_one_whose_parent_is_gone_before_it_can_ask_to_end_with_it_ends(is_other, printed):
    command = [sys.executable, "-c", CODE.format(os.getpid() + is_other)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == printed
    assert (done.returncode == 0) == bool(printed)
