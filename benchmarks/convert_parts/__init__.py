"""The parts of convert.py and read_store.py: the made-up workload, the peers, the floors, the clock."""
