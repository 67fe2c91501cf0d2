"""Published benchmarks of judges: one file a benchmark reads it and says what is measured on it. Knows no Ray."""
