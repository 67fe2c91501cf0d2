"""The embedded world: pictures of coloured shapes with exact ground truth, so that the whole system runs offline.

No other room imports this one. Runs reach it the way they reach any plug-in: by a name in their configuration.
"""
