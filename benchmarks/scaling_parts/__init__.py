"""What ``scaling.py`` is made of."""
