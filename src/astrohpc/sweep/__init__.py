"""A sweep: its design, members, ledger, policy and plan."""
