"""GISS ModelE and ROCKE-3D: rundecks, planets as it wants them, what it leaves, canonical output."""
