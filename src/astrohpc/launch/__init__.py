"""The command line: ``python -m astrohpc.launch VERB``. Nothing imports it."""
