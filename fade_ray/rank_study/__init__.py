"""Are the ranks of a trained hyper-architecture worth anything? What is trained, how it is chosen, what comes of it."""
