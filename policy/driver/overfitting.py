"""Tells where a run learns its data by heart: it begins anew then, at once.

Test losses rise while training losses lie far below the target, and lower rates do not help: they
learn by heart, too. What `policy.driver.plateau` would find out by two slow stretches shows in one
test.
"""

WORSE = 0.02  # than the best test, over the distance from the first training loss to the target
DEEP = 0.2  # below the target the training loss lies, over the same


def has_overfitted(loss, best, trained, first, target):
    """Whether a test tells that a run towards ``target`` has overfitted.

    Args:
        loss, best: of the test, and of the best one so far.
        trained, first: the smoothed training loss of now, and the first one.
    """
    gap = first - target
    is_worse = loss - best > WORSE * gap
    return is_worse and gap > 0 and target - trained > DEEP * gap
