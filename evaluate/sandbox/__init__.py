"""What a submission's process is kept from, and which limits it has."""
