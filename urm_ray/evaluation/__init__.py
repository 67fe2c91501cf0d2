"""Measures judges and policies: benchmarks, metrics with intervals, independent scorers. Knows no Ray."""
