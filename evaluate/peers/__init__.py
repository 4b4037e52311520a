"""Peers: train.py files like any other, to measure submissions against."""
