"""Augmentation of training batches: transformations that say what they keep, and keep it."""
