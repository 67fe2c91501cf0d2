"""Pairs and preferences in the formats of other tools. Knows no Ray."""
