"""Planetary-climate sweeps, surrogates and spectra on any Slurm cluster."""

__version__ = "0.1.0"
