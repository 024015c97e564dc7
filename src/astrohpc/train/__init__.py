"""Training: one loop for every model, and what keeps it fast, exact and alive."""
