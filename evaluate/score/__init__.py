"""What is to be run, what came of it, and how it scores. Nothing here runs a submission."""
