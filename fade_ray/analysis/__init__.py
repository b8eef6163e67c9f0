"""What can be said about the searches: closed forms of the papers, and measures of runs."""
