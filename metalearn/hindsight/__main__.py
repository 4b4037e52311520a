"""`python -m metalearn.hindsight`: teach a policy in hindsight, under torchrun on many cores."""

import contextlib
import json
import sys
import time
from pathlib import Path

import torch
import tyro
from safetensors import SafetensorError

from metalearn.config import ConfigError
from metalearn.hindsight.course import Course, blend, gather, teach
from metalearn.prior import policy_to_begin_with
from metalearn.shard import Shard, alone_in, join
from policy.checkpoint import (
    RESERVED,
    Policy,
    PolicyError,
    load_policy,
    read_metadata,
    save_policy,
)
from tasks import DataError
from writing.files import write_atomically


def main() -> None:
    """Teach a policy; for unusable input print one line and exit with status 2."""
    try:
        text = "Teach a learning-rate policy in hindsight."
        _run(tyro.cli(Course, prog="python -m metalearn.hindsight", description=text))
    except (ConfigError, PolicyError, DataError, OSError, SafetensorError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


def _run(course: Course) -> None:
    course.check()
    policy = first = policy_to_begin_with(course.begin, course.seed)
    shard, device = join(course.device)
    torch.set_num_threads(1)
    course.out.mkdir(parents=True, exist_ok=True)
    with alone_in(course.out, shard):
        if shard.rank == 0:
            _claim(course)
        shard.wait()
        for turn in range(course.rounds):
            policy = _round(course, turn, policy, shard)
        if shard.rank == 0:
            policy = blend(first, policy) if course.begin else policy
            _keep_log(course)
            save_policy(course.out / "policy.safetensors", policy, _told(course))
    shard.leave()


def _claim(course: Course) -> None:
    """Write the settings. Raise ConfigError if the folder holds a run with others."""
    path, text = course.out / "course.json", course.to_json()
    if path.exists() and path.read_text() != text:
        raise ConfigError(
            f"{course.out} holds a run with other settings: repeat its settings (course.json) to "
            "go on, or give another --out"
        )
    write_atomically(path, text.encode())


def _round(course: Course, turn: int, policy: Policy, shard: Shard) -> Policy:
    """Return the policy after a round. Processes share the collecting; the first one fits."""
    path = course.learned(turn)
    if not path.exists():
        for number in course.numbers(turn)[shard.rank :: shard.size]:
            if not course.lessons(number).exists():
                begin = time.perf_counter()
                if group := gather(course, number, policy):
                    _tell_group(group, time.perf_counter() - begin)
        shard.wait()
        if shard.rank == 0:
            save_policy(path, teach(course, turn, policy, _tell_fit), _told(course))
    shard.wait()
    return load_policy(path)


def _told(course: Course) -> dict[str, str]:
    """Return the metadata of the policy's file: the first policy's, and how it was taught."""
    before = read_metadata(course.begin) if course.begin else {}
    kept = {name: value for name, value in before.items() if name not in RESERVED}
    taught = {"architectures": course.rounds * course.groups, **json.loads(course.to_json())}
    return {**kept, "hindsight": json.dumps(taught)}


def _keep_log(course: Course) -> None:
    """Copy the log of the meta-training next to the policy, for the reports of submissions."""
    if course.begin:
        with contextlib.suppress(FileNotFoundError):
            log = Path(course.begin).with_name("log.jsonl").read_bytes()
            write_atomically(course.out / "log.jsonl", log)


def _tell_group(group, seconds):
    time = group.lessons.time
    own, best = time[:, 0].mean().item(), time.amin(1).mean().item()
    line = {"group": group.number, "family": group.family, "time": own, "best": best}
    print(json.dumps(line | {"seconds": seconds}), flush=True)


def _tell_fit(step, grade):
    line = {"step": step} | {name: value.item() for name, value in grade._asdict().items()}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
