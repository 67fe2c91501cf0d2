"""Runs the stages of a run on Ray Data and Ray Train: the only room that knows clusters."""
