"""Hydra groups: sites, allocations, sweeps, engines, policies."""
