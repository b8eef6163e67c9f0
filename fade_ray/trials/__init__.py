"""Trials: plain functions from a plan to events, checkpointed every epoch, with or without Ray."""
