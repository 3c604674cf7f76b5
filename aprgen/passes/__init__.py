"""Passes: Program to Program, and the plan of memory. Each is a function that leaves its argument alone."""
