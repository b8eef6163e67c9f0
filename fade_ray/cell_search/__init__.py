"""Inner searches: which operation stands on which edge of a cell."""
