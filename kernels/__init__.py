"""Kernels: they know arrays, not planets."""
