"""Searchers without training: tables of a benchmark answer their trials, in seconds for hundreds of
seeds.
"""
