"""Benchmarks behind the figures in `docs/`: one module each, one command line for all.

A benchmark is a module named in `benchmarks.registry`. It has

- `NAME`: the name of the module, of its block in the page and of its result file in
  `docs/results/`;
- `PAGE`: path of the page that shows it, or None;
- `jobs(settings)`: the list of things to measure, and `Settings` if the usual ones don't suffice;
- `measure(job)`: the list of result rows of one job;
- `table(result)`, the content of the block, or `figure(result)`, a picture, or both;
- optionally `SEED`; `RESULT`, another path of the result file, and `read_result(path)`, to read
  it if it isn't JSON; `about(settings, rows)`, further entries of the result; `ALONE`, true if jobs
  are timed and must run one at a time.

A `.jsonl` result file grows by one line per row. `key(row)` then identifies the jobs that are done.

Repeat an interrupted run at the same commit to resume it.
"""
