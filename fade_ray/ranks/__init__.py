"""Are FaDE-ranks worth anything? Rank studies, from configuration to report."""
