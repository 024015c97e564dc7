"""Laws and geometry, per planet: no constant of one planet lives here."""
