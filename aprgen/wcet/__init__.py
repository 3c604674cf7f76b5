"""Bounds on time and stack of the generated code, computed from the linked program. Knows Arm M-profile cores only."""
