"""Planetary-climate sweeps, surrogates and spectra on any Slurm cluster."""

from astrohpc.version import VERSION

__version__ = VERSION
