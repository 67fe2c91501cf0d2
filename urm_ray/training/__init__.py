"""Trains judges and policies on Ray Train workers with DeepSpeed ZeRO."""
