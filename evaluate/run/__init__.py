"""Runs a train.py on a task: in a process apart from the oracle's, with a channel between them."""
