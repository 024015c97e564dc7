"""Parts of the benchmark of speed-ups: answers and their latencies, other solvers, the tables."""
