"""Samplers: how a policy makes candidates for a prompt. Knows no Ray."""
