"""Run a train.py in its own process, connected to the oracle's process by a channel."""
