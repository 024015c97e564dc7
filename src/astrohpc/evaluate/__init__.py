"""How good a prediction is: statistics, weighted means, metrics, intervals, and pages for people."""
