"""Teach a controller in hindsight: run every episode at many rates, then learn which were best.

One episode is run by many particles (*arms*) on the same batches, each with the rates of the policy
times a path of its own: a height, a slope in time and a slope in depth (`paths`). What the arms
cost gives a surface, the cost as a function of these three numbers (`surface`), and what their
controllers saw is kept (`collect`). Then the controller learns by backpropagation to choose, from
what it sees, the rates at which the surface is lowest (`fit`). Nothing of the policy is perturbed:
three numbers are, and each episode says where its own best rates lie.

Rounds alternate, as in DAgger (Ross, Gordon & Bagnell 2011, arXiv:1011.0686): what a policy meets
on its own way is collected with that policy (`course`).
"""
