"""Slurm: what we ask of it, the text we give it, and what it answers."""
