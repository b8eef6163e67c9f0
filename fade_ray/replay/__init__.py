"""Searchers without training: tables answer their trials, hundreds of seeds in seconds."""
