"""A submission's process: `python -m evaluate.run.client SOCKET LIFELINE JOB`.

The arguments are file descriptors: SOCKET is the channel to the oracle, LIFELINE a pipe that closes
when the oracle's process is gone, and JOB a pipe with the job as JSON
(evaluate.run.launch.client_job). The submission is loaded before this process receives anything
about the task. The clock runs on the oracle's side and starts just before the task's facts and the
weights' shared memory are sent. This module does not import `tasks`.
"""

import json
import os
import select
import sys
from pathlib import Path

from evaluate.sandbox.calls import refuse_calls
from evaluate.sandbox.confine import limit_this_namespace, limit_this_process
from evaluate.sandbox.hide import DEVICES, enter_own_root, give_up_capabilities
from evaluate.sandbox.landlock import confine_files


def main(socket: int, lifeline: int, told: int) -> None:
    """Run the job's submission in a child of this process, which is the namespace's init.

    The child is needed because process 1 ignores signals that would kill any other process. When
    the child ends or the lifeline closes, init exits, and the kernel kills whatever is left.
    """
    with open(told) as pipe:
        job = json.load(pipe)
    files = [*job["data_files"], *job["known_data_files"]]
    hidden = list(filter(None, [*files, *job["data_folders"], job["results"]]))
    if os.getpid() == 1:
        limit_this_namespace()
        job["submission"] = enter_own_root(
            job["shown"], hidden, job["submission"], job["memory_bytes"]
        )
        job["data_files"] = []  # hidden by now, and their names would reveal the task
    child = os.fork()
    if not child:
        os.close(lifeline)
        if job["offline"]:
            readable = [*job["shown"], "/proc", job["submission"]]
            confine_files(readable, hidden, [os.getcwd(), *DEVICES])
        else:
            give_up_capabilities()
        del files, hidden
        refuse_calls(job["offline"])
        _run(job, socket)
        return
    os.close(socket)
    descriptor = os.pidfd_open(child)
    ended, _, _ = select.select([descriptor, lifeline], [], [])
    if descriptor not in ended:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _run(job: dict, socket: int) -> None:
    import torch

    from evaluate.run.channel import Channel
    from evaluate.run.remote import Done, RemoteTask
    from evaluate.sandbox.guard import watch
    from evaluate.seeds import seed_everything
    from evaluate.submission import describe, is_out_of_memory, learning_rates, load

    torch.set_num_threads(job["threads"])
    torch.optim.Adam([torch.zeros(1)])  # makes PyTorch import its compiler, off the clock
    seed_everything(job["seed"])
    channel = Channel(socket)
    module = None

    def ended(problem: BaseException) -> dict:
        if isinstance(problem, Done) or type(problem).__name__ == "Done":
            return {"outcome": "cheated", "message": "Done was not raised by the oracle"}
        outcome = "out-of-memory" if is_out_of_memory(problem) else "error"
        return {"outcome": outcome, "message": describe(problem)}

    limit_this_process(job["memory_bytes"], in_namespace=not job["offline"])
    watch(
        [*job["data_files"], *job["known_data_files"]],
        job["data_folders"],
        job["offline"],
        lambda message: channel.send({"cheat": message}),
    )
    channel.send({"ready": True})
    end = {"end": "returned"}
    try:
        module = load(Path(job["submission"]))
        if job["given"]:
            module.given = job["given"]
        train = module.train
        channel.send({"loaded": True})
        facts = channel.receive()
        weights = channel.receive_descriptor()
        task = RemoteTask(channel, facts, weights)
        os.close(weights)
        train(task)
    except BaseException as problem:
        end = {"end": "raised", **ended(problem)}
    channel.send({**end, "learning_rates": learning_rates(module)})
    sys.stdout.flush()
    os._exit(0)  # skip the submission's threads and exit handlers, which could delay the next run


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
