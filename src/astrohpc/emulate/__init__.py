"""Predicting climates from few of them without gradients: the methods that a network has to beat."""
