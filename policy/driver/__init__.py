"""The driver: runs the rule on the challenge's oracles until the target is reached."""
