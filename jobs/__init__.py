"""What runs inside an allocation: one thin entry a job kind."""
