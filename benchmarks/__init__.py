"""What measures the figures in `docs/`: one module a benchmark, one command line for all.

A benchmark is a module that `benchmarks.registry` names. It has

- `NAME`: of the module, of its block in the page, and of its result file in `docs/results/`;
- `PAGE`: path of the page that shows it, None if no page does;
- `jobs(settings)`: a list of what to measure; `Settings`, where these are not the usual ones;
- `measure(job)`: the rows of the result that a job gives, a list;
- `table(result)`: the content of the block, or `figure(result)`: a picture, or both;
- where needed `SEED`; `RESULT`, another place of the result file, and `read_result(path)`, in place
  of JSON; `about(settings, rows)`, further entries; `ALONE`, true where jobs are timed, one at a
  time. A result file `.jsonl` grows by a line a row, and `key(row)` shows which jobs are done.

An interrupted run goes on when it is repeated at the same commit.
"""
