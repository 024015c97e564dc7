"""Training: one loop over engines that share it out to processes."""
