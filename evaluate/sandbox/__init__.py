"""Isolation and limits for a submission's process."""
