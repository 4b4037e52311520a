"""Schedule, results and scores. Nothing here runs a submission."""
