"""The shipped policy, with the settings and results of its meta-training (see README.md here)."""
