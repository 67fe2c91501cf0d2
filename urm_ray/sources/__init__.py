"""Readers of human preferences and prompts: native record to schema record, one file a source. Knows no Ray."""
