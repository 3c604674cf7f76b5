"""Runners: execute an image on records and bring back outputs, counts and stack. See `choose.runner_for`."""
