"""A factor common to all rates that keeps the excess of the loss where it does no harm.

Noise keeps the live weights at a loss above that of their average, in a bowl in proportion to the
rate (Mandt, Hoffman & Blei 2017, arXiv:1704.04289, section 3.2). Weights far up a bowl move in a
coarser landscape than the one that their average is tested in, and where they are nowhere up,
longer steps would cost nothing. So the log of the factor is the integral, over log time, of what
the excess lacks of a set point; the excess is an average over a share of the run, and answers at
that pace.
"""

from policy.scalars import clamp, log

WANTED = 0.25  # of the feature of :func:`policy.signal.global_features`: 2.7 % of the gap
GAIN = 6.0
FROM = 25.0  # step: of the first ones the excess tells little
LACKING, TOO_MUCH = 0.08, 0.2  # what the excess may lack, or be too much, at most
LOWEST, HIGHEST = -1.2, 1.0  # of the log factor


def throttled(before, step, stride, excess):
    """Log factor ``[*lead]`` after one more decision.

    Args:
        before: that of the decision before.
        step: ``[*lead]`` or a number; ``stride`` steps ago was the decision before.
        excess: ``[*lead]``, the feature.
    """
    passed = log(clamp(step, FROM)) - log(clamp(step - stride, FROM))
    error = (WANTED - excess).clamp(-TOO_MUCH, LACKING)
    return (before + GAIN * passed * error).clamp(LOWEST, HIGHEST)
