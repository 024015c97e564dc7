"""Whether climates keep the laws of physics: budgets of stores and files, graded, told and drawn."""
