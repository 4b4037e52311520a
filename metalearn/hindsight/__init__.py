"""Teach a controller in hindsight: run every episode at many rates, then learn which were best.

Many particles (*arms*) run each episode on the same batches, each with its own path of rates
(`paths`, `collect`). Their costs give a surface, the cost as a function of the path (`surface`).
The controller then learns to choose, from the recorded features, the rates at which the surface is
lowest (`fit`). Each round collects with the policy of the previous round, as in DAgger (Ross,
Gordon & Bagnell 2011, arXiv:1011.0686; `course`).
"""
